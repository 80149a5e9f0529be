import CoreGraphics
import CoreML
import Foundation
import Vision

/// One Core ML package of several networks; the budget says which of them runs.
///
/// The package comes from `eas export birds 4M 8M 16M -o birds.mlpackage --precision float16`: a function for each
/// budget, which share the weights that are equal. Its metadata tell the labels and the multiply-adds of each function.
public actor ElasticClassifier {
    /// What can go wrong with a package.
    public enum Failure: LocalizedError {
        case noNetworks
        case infeasible(budget: Int, least: Int)
        case noAnswer

        public var errorDescription: String? {
            switch self {
            case .noNetworks:
                return "a package of eas_sdk names its functions and their multiply-adds under 'madds'; this one does not"
            case .infeasible(let budget, let least):
                return "the smallest network takes \(least) multiply-adds; got a budget of \(budget)"
            case .noAnswer:
                return "a network answers with probabilities: export it without --logits"
            }
        }
    }

    /// Function -> multiply-adds of one image.
    public let madds: [String: Int]

    /// The function that runs now.
    public private(set) var function: String

    private let compiled: URL
    private var model: MLModel

    /// Opens a package with its smallest network.
    ///
    /// - Parameter compiled: the `.mlmodelc` that Xcode makes of a package in the app's bundle; for a package that was
    ///   downloaded, what `MLModel.compileModel(at:)` returns.
    public init(compiled: URL) async throws {
        let first = try await MLModel.load(contentsOf: compiled, configuration: MLModelConfiguration())
        let facts = first.modelDescription.metadata[.creatorDefinedKey] as? [String: String]
        guard
            let text = facts?["madds"],
            let madds = try? JSONDecoder().decode([String: Int].self, from: Data(text.utf8)),
            let smallest = madds.min(by: { $0.value < $1.value })
        else { throw Failure.noNetworks }
        self.madds = madds
        self.compiled = compiled
        self.function = smallest.key
        self.model = try await Self.load(smallest.key, of: madds, from: compiled)
    }

    /// Runs the largest network within a budget from now on. The one before answers until the new one is loaded.
    ///
    /// - Parameter budget: multiply-adds of one image.
    /// - Returns: the function.
    @discardableResult
    public func use(budget: Int) async throws -> String {
        guard let best = madds.filter({ $0.value <= budget }).max(by: { $0.value < $1.value }) else {
            throw Failure.infeasible(budget: budget, least: madds.values.min() ?? 0)
        }
        if best.key != function {
            model = try await Self.load(best.key, of: madds, from: compiled)
            function = best.key
        }
        return best.key
    }

    /// Runs the network for a part of the way from the smallest to the largest one, 0 to 1: see `DeviceBudget`.
    @discardableResult
    public func use(level: Double) async throws -> String {
        let least = madds.values.min() ?? 0
        let most = madds.values.max() ?? 0
        return try await use(budget: least + Int(level * Double(most - least)))
    }

    /// Labels with probabilities, the most probable first.
    ///
    /// - Parameter image: of any size; its middle square is scaled to the network's input.
    public func classify(_ image: CGImage) throws -> [(label: String, probability: Double)] {
        guard let constraint = model.modelDescription.inputDescriptionsByName["image"]?.imageConstraint else {
            throw Failure.noAnswer
        }
        let crop = VNImageCropAndScaleOption.centerCrop.rawValue
        let input = try MLFeatureValue(cgImage: image, constraint: constraint, options: [.cropAndScale: crop])
        let output = try model.prediction(from: MLDictionaryFeatureProvider(dictionary: ["image": input]))
        guard
            let name = model.modelDescription.predictedProbabilitiesName,
            let found = output.featureValue(for: name)?.dictionaryValue as? [String: Double]
        else { throw Failure.noAnswer }
        return found.sorted { $0.value > $1.value }.map { (label: $0.key, probability: $0.value) }
    }

    private static func load(_ function: String, of madds: [String: Int], from compiled: URL) async throws -> MLModel {
        let configuration = MLModelConfiguration()
        if madds.count > 1 {  // a package of one network has no named functions
            configuration.functionName = function
        }
        return try await MLModel.load(contentsOf: compiled, configuration: configuration)
    }
}
