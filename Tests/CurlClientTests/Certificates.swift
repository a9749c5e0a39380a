import Foundation
import Testing

/// PEM texts that `openssl` makes once for all tests.
struct Certificates: Sendable {
  /// The name, besides 127.0.0.1, that servers' certificates hold.
  static let serverName = "drover.test"

  /// A certificate and its key.
  struct Pair: Sendable {
    let certificate: [UInt8]
    let key: [UInt8]
  }

  private static let made = Result { try Certificates() }

  static var all: Certificates { get throws { try made.get() } }

  /// Signed everything but `otherAuthority`.
  let authority: [UInt8]
  let otherAuthority: [UInt8]
  let server: Pair
  /// Was in force for one day of 2020.
  let expired: Pair
  let client: Pair
  /// The client's key under a passphrase.
  let encryptedKey: [UInt8]

  private init() throws {
    let directory = try TemporaryDirectory()
    func openssl(_ arguments: String) throws {
      try run("openssl", arguments.split(separator: " ").map(String.init), in: directory)
    }
    func pair(_ name: String) throws -> Pair {
      Pair(certificate: try directory.read("\(name).pem"), key: try directory.read("\(name).key"))
    }
    let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    let names = "subjectAltName=DNS:\(Self.serverName),IP:127.0.0.1"
    for name in ["authority", "other"] {
      try openssl("req -x509 \(newKey) -keyout \(name).key -out \(name).pem -subj /CN=\(name) -days 2")
    }
    for (name, extra) in [("server", "-addext \(names)"), ("client", "")] {
      try openssl(
        """
        req -x509 \(newKey) -keyout \(name).key -out \(name).pem -subj /CN=\(name) -days 2 \
        -CA authority.pem -CAkey authority.key -addext basicConstraints=critical,CA:FALSE \(extra)
        """)
    }
    try openssl("ec -in client.key -out encrypted.key -aes128 -passout pass:secret")
    // Of openssl's commands `ca` alone takes a date in the past.
    _ = try directory.write("index", [])
    _ = try directory.write("ca.cnf", Array(Self.configuration(names).utf8))
    try openssl("req \(newKey) -keyout expired.key -out expired.csr -subj /CN=server")
    try openssl(
      """
      ca -batch -config ca.cnf -create_serial -in expired.csr -out expired.pem -notext -cert authority.pem \
      -keyfile authority.key -startdate 20200101000000Z -enddate 20200102000000Z
      """)
    authority = try directory.read("authority.pem")
    otherAuthority = try directory.read("other.pem")
    server = try pair("server")
    expired = try pair("expired")
    client = try pair("client")
    encryptedKey = try directory.read("encrypted.key")
  }

  private static func configuration(_ names: String) -> String {
    """
    [ca]
    default_ca = default
    [default]
    database = index
    serial = serial
    new_certs_dir = .
    default_md = sha256
    policy = policy
    x509_extensions = extensions
    [policy]
    commonName = supplied
    [extensions]
    \(names)
    """
  }
}

/// A directory that goes with its last reference.
final class TemporaryDirectory: Sendable {
  let path = "/tmp/curl-client-\(UUID().uuidString)"

  init() throws {
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { "\(path)/\(name)" }

  func read(_ name: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: file(name))))
  }

  /// Writes a file, and returns its path.
  func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Data(bytes).write(to: URL(fileURLWithPath: file(name)))
    return file(name)
  }
}

private func run(_ tool: String, _ arguments: [String], in directory: TemporaryDirectory) throws {
  let log = try directory.write("log", [])
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = [tool] + arguments
  process.currentDirectoryURL = URL(fileURLWithPath: directory.path)
  process.standardInput = FileHandle.nullDevice
  process.standardOutput = FileHandle.nullDevice
  process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
  try process.run()
  process.waitUntilExit()
  let errors = String(decoding: try directory.read("log"), as: UTF8.self)
  try #require(process.terminationStatus == 0, "\(tool) \(arguments): \(errors)")
}
