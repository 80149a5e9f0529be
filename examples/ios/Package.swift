// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "ElasticClassifier",
    platforms: [.iOS(.v18), .macOS(.v15)],  // the first whose Core ML knows several functions in a package
    products: [.library(name: "ElasticClassifier", targets: ["ElasticClassifier"])],
    targets: [.target(name: "ElasticClassifier")],
    swiftLanguageModes: [.v5]  // MLModel is not declared as Sendable
)
