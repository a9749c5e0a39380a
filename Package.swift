// swift-tools-version: 6.2
import PackageDescription

/// Set by `.ci/run` and `make strict`: every warning ends the build.
let strict = Context.environment["DROVER_STRICT"] == "1"

/// The commit that is built; told by `make`, since a manifest cannot ask git without being cached with the answer.
let revision = Context.environment["DROVER_REVISION"] ?? ""

let settings: [SwiftSetting] =
  [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
  ] + (strict ? [.treatAllWarnings(as: .error)] : [])

let librarySettings: [SwiftSetting] =
  settings + (strict ? [.unsafeFlags(["-require-explicit-sendable"])] : [])

let package = Package(
  name: "drover",
  products: [
    .executable(name: "drover", targets: ["drover"])
  ],
  dependencies: [
    // Subcommands, help and shell completion.
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
    // The ecosystem's logging interface; the logfmt and JSON handlers are our own.
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    // The configuration is YAML, and its errors name a line.
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
    // A kubeconfig may name a program that makes credentials.
    .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.0"),
    // SQLite for the journal: migrations of its schema, its transactions, and its threads kept apart from ours.
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: [
    // C libraries: module maps, and inline wrappers of variadic functions.
    .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),
    .systemLibrary(
      name: "CMicroHTTP", pkgConfig: "libmicrohttpd", providers: [.apt(["libmicrohttpd-dev"])]),
    // The only full interface to a libvirt host: events, statistics, and a keepalive of its own.
    .systemLibrary(name: "CLibvirt", pkgConfig: "libvirt", providers: [.apt(["libvirt-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    // Certificates that are exchanged while the server runs, and what is asked of clients: libmicrohttpd, which
    // stands on it, has calls for neither. Also keyed digests of secrets.
    .systemLibrary(name: "CGnuTLS", pkgConfig: "gnutls", providers: [.apt(["libgnutls28-dev"])]),
    // bcrypt, as web.yml has its passwords.
    .systemLibrary(name: "CCrypt", providers: [.apt(["libcrypt-dev"])]),
    .systemLibrary(name: "CLinux"),
    // Holds the commit: Swift has no way to be told a text by its build.
    .target(name: "CRevision", cSettings: [.define("DROVER_REVISION", to: "\"\(revision)\"")]),

    // Pure: no I/O, no clock, no C.
    .target(name: "DroverCore", swiftSettings: librarySettings),
    // What a scrape is kept in, and sent from without copying.
    .target(name: "KeptBytes", swiftSettings: librarySettings),
    .target(
      name: "Exposition", dependencies: ["DroverCore", "KeptBytes", "CZlib", "Posix"],
      swiftSettings: librarySettings),

    // Threads and the addresses of Unix sockets.
    .target(name: "Posix", dependencies: ["CLinux"], swiftSettings: librarySettings),

    // The kernel's own view of a migration's TCP connections; neither libvirt nor QEMU tells of their silence.
    .target(
      name: "InetDiag", dependencies: ["CLinux", "DroverCore", "Posix"], swiftSettings: librarySettings),

    // One room for each dependency on the outside world.
    .target(name: "CurlClient", dependencies: ["CCurl", "Posix"], swiftSettings: librarySettings),
    .target(
      name: "MicroHTTP", dependencies: ["CGnuTLS", "CMicroHTTP", "CLinux", "KeptBytes", "Posix"],
      swiftSettings: librarySettings),
    .target(
      name: "QEMUBackend",
      dependencies: ["DroverCore", "CLinux", "Posix", .product(name: "Logging", package: "swift-log")],
      swiftSettings: librarySettings),
    .target(
      name: "LibvirtBackend",
      dependencies: [
        "CLibvirt", "CLinux", "DroverCore", "InetDiag", "Posix",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: librarySettings),
    // A client of the Kubernetes API: who asks (kubeconfig, service account), lists, watches, changes.
    .target(
      name: "Kubernetes",
      dependencies: [
        "CurlClient", "Posix", .product(name: "Logging", package: "swift-log"),
        .product(name: "Subprocess", package: "swift-subprocess"), .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: librarySettings),
    .target(
      name: "KubeVirtBackend",
      dependencies: [
        "CurlClient", "DroverCore", "Kubernetes", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: librarySettings),
    // What outlives the process: migrations and decisions.
    .target(
      name: "Journal", dependencies: ["DroverCore", .product(name: "GRDB", package: "GRDB.swift")],
      swiftSettings: librarySettings),
    // Real QEMU guests that migrate on this machine: the demo's and the tests'.
    .target(
      name: "QEMURig", dependencies: ["CLinux", "Posix"], exclude: ["Guest"], swiftSettings: librarySettings),

    // The only caller of what a back end can be asked to do.
    .target(
      name: "MigrationControl",
      dependencies: ["DroverCore", .product(name: "Logging", package: "swift-log")],
      swiftSettings: librarySettings),

    .target(
      name: "DroverService",
      dependencies: [
        "CCrypt", "CGnuTLS", "CLinux", "DroverCore", "Exposition", "Journal", "KeptBytes", "KubeVirtBackend",
        "LibvirtBackend", "MicroHTTP", "MigrationControl", "Posix", "QEMUBackend",
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Yams", package: "Yams"),
      ],
      swiftSettings: librarySettings),
    .executableTarget(
      name: "drover",
      dependencies: [
        "CRevision", "CurlClient", "DroverCore", "DroverService", "Exposition", "KubeVirtBackend",
        "LibvirtBackend",
        "MicroHTTP", "QEMUBackend", "QEMURig",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),

    .testTarget(name: "DroverCoreTests", dependencies: ["DroverCore"], swiftSettings: settings),
    .testTarget(
      name: "ExpositionTests", dependencies: ["DroverCore", "Exposition", "KeptBytes", "CZlib"],
      resources: [.copy("Fixtures")], swiftSettings: settings),
    .testTarget(
      name: "MigrationControlTests",
      dependencies: ["DroverCore", "MigrationControl", .product(name: "Logging", package: "swift-log")],
      swiftSettings: settings),
    .testTarget(name: "PosixTests", dependencies: ["Posix"], swiftSettings: settings),
    .testTarget(
      name: "InetDiagTests", dependencies: ["CLinux", "DroverCore", "InetDiag", "Posix"],
      swiftSettings: settings),
    // curl as a client, and certificates that openssl makes.
    .target(name: "PeerTools", path: "Tests/PeerTools", swiftSettings: settings),
    .testTarget(
      name: "MicroHTTPTests", dependencies: ["KeptBytes", "MicroHTTP", "PeerTools"], swiftSettings: settings),
    .testTarget(
      name: "CurlClientTests", dependencies: ["CurlClient", "MicroHTTP"], swiftSettings: settings),
    .testTarget(
      name: "QEMUBackendTests",
      dependencies: [
        "CLinux", "DroverCore", "QEMUBackend", "QEMURig", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "LibvirtBackendTests",
      dependencies: [
        "CLibvirt", "CLinux", "DroverCore", "InetDiag", "LibvirtBackend", "Posix",
        .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    .testTarget(
      name: "KubernetesTests", dependencies: ["CurlClient", "Kubernetes", "MicroHTTP"],
      swiftSettings: settings),
    .testTarget(
      name: "KubeVirtBackendTests",
      dependencies: [
        "CurlClient", "DroverCore", "KubeVirtBackend", "Kubernetes", "MicroHTTP",
        .product(name: "Logging", package: "swift-log"),
      ],
      resources: [.copy("Fixtures")], swiftSettings: settings),
    // Writes a journal until it is killed; for the suite below.
    .executableTarget(
      name: "journal-writer",
      dependencies: [
        "DroverCore", "Journal", "MigrationControl", .product(name: "Logging", package: "swift-log"),
      ], path: "Tests/JournalWriter", swiftSettings: settings),
    .testTarget(
      name: "JournalTests",
      dependencies: [
        "DroverCore", "Journal", "Posix", "journal-writer", .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: settings),
    .testTarget(name: "QEMURigTests", dependencies: ["QEMURig"], swiftSettings: settings),
    .testTarget(
      name: "DroverServiceTests",
      dependencies: [
        "CurlClient", "DroverCore", "DroverService", "Exposition", "Journal", "KubeVirtBackend",
        "LibvirtBackend", "MicroHTTP", "MigrationControl", "PeerTools",
        .product(name: "GRDB", package: "GRDB.swift"), .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    // Watches real QEMUs and hosts with the real back ends and tracker; for the two suites below.
    .target(
      name: "ScenarioSupport",
      dependencies: [
        "MigrationControl",
        "DroverCore", "DroverService", "LibvirtBackend", "QEMUBackend", "QEMURig",
        .product(name: "Logging", package: "swift-log"),
      ],
      path: "Tests/ScenarioSupport", swiftSettings: settings),
    .testTarget(
      name: "ScenarioTests",
      dependencies: [
        "DroverCore", "MigrationControl", "QEMUBackend", "QEMURig", "ScenarioSupport",
        .product(name: "Logging", package: "swift-log"),
      ], swiftSettings: settings),
    // The executable as a process, and the Prometheus and the Alertmanager beside it; for the suites that ask it from outside.
    .target(
      name: "ProgramSupport", dependencies: ["CurlClient", "DroverService"], path: "Tests/ProgramSupport",
      swiftSettings: settings),
    // Two libvirt hosts that Tests/Lab/lab.sh makes; apart from ScenarioSupport, which needs no root.
    .target(
      name: "LibvirtLab", dependencies: ["Posix", "QEMURig"], path: "Tests/LibvirtLab",
      swiftSettings: settings),
    // A real kube-apiserver that Tests/Lab/kube builds and starts, and the parts that KubeVirt would play on it.
    .target(
      name: "KubeLab", dependencies: ["Posix", "QEMURig"], path: "Tests/KubeLab", swiftSettings: settings),
    // What needs root; `make lab`.
    .testTarget(
      name: "LabTests",
      dependencies: [
        "CurlClient", "DroverCore", "DroverService", "KubeLab", "KubeVirtBackend", "LibvirtBackend",
        "LibvirtLab", "MicroHTTP", "MigrationControl", "ProgramSupport",
        "QEMUBackend", "QEMURig", "ScenarioSupport", .product(name: "Logging", package: "swift-log"),
      ],
      swiftSettings: settings),
    // `make soak`: what is proven by doing it hundreds of times.
    .testTarget(
      name: "SoakTests",
      dependencies: [
        "drover", "CurlClient", "DroverCore", "DroverService", "Journal", "KubeLab", "Posix",
        "ProgramSupport",
        "QEMURig", .product(name: "GRDB", package: "GRDB.swift"),
      ],
      swiftSettings: settings),
    // The executable from outside: its commands, its signals, a real Prometheus.
    .testTarget(
      name: "EndToEndTests",
      dependencies: [
        "drover", "CurlClient", "DroverService", "MicroHTTP", "PeerTools", "ProgramSupport", "QEMURig",
      ],
      swiftSettings: settings),

    // `make bench`: speed and memory as ratios; no product, so that nobody installs it.
    .executableTarget(
      name: "drover-bench",
      dependencies: [
        "CBench", "CLinux", "CMicroHTTP", "CurlClient", "DroverCore", "DroverService", "Exposition",
        "KeptBytes", "KubeLab", "Kubernetes",
        "LibvirtLab", "MicroHTTP", "Posix", "QEMURig", "QEMUBackend",
        .product(name: "Logging", package: "swift-log"),
      ],
      path: "Tests/Bench", exclude: ["CBench"], swiftSettings: settings),
    // Counts the allocations of whatever it is linked into, so nothing else may be.
    .target(name: "CBench", path: "Tests/Bench/CBench"),
  ],
  swiftLanguageModes: [.v6]
)
