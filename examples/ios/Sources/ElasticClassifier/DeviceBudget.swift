import Foundation

#if os(iOS)
import UIKit
#endif

/// The budget that the state of the device allows, as a part of the way from the smallest network to the largest.
///
/// The rules are those of `eas_sdk.device.policy.DEFAULT_POLICY`, as far as the system tells the state (of the
/// battery, iOS alone does): the first that holds decides.
@MainActor
public enum DeviceBudget {
    /// From 0 to 1.
    public static var level: Double {
        let info = ProcessInfo.processInfo
        switch info.thermalState {
        case .critical: return 0
        case .serious: return 0.15
        default: break
        }
        if let battery, battery < 0.15 { return 0.15 }
        if info.isLowPowerModeEnabled { return 0.25 }
        if info.thermalState == .fair { return 0.4 }
        if let battery, battery < 0.4 { return 0.5 }
        return 1
    }

    /// Charge from 0 to 1 while the battery discharges; nil on a charger, or where it is unknown.
    private static var battery: Float? {
        #if os(iOS)
        let device = UIDevice.current
        device.isBatteryMonitoringEnabled = true
        return device.batteryState == .unplugged && device.batteryLevel >= 0 ? device.batteryLevel : nil
        #else
        return nil
        #endif
    }
}
