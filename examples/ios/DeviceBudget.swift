import Foundation
import UIKit

/// The budget that the state of the device allows, as a part of the way from the smallest network to the largest.
///
/// The rules are those of `eas_sdk.device.policy.DEFAULT_POLICY`, as far as iOS tells the state: the first that holds
/// decides.
@MainActor
enum DeviceBudget {
    /// From 0 to 1.
    static var level: Double {
        let device = UIDevice.current
        device.isBatteryMonitoringEnabled = true
        let info = ProcessInfo.processInfo
        let discharging = device.batteryState == .unplugged
        let battery = device.batteryLevel  // below 0 where it is unknown
        switch info.thermalState {
        case .critical: return 0
        case .serious: return 0.15
        default: break
        }
        if discharging && battery >= 0 && battery < 0.15 { return 0.15 }
        if info.isLowPowerModeEnabled { return 0.25 }
        if info.thermalState == .fair { return 0.4 }
        if discharging && battery >= 0 && battery < 0.4 { return 0.5 }
        return 1
    }
}
