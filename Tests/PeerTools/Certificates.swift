import Foundation

/// A PEM certificate and its key, in files.
package struct CertificateFiles: Sendable {
  package let certificate: String
  package let key: String
}

/// Authorities and certificates that openssl makes.
package struct CertificateMaker: Sendable {
  package enum Purpose: String, Sendable { case server = "serverAuth", client = "clientAuth" }

  package let directory: Scratch

  package init(in directory: Scratch) { self.directory = directory }

  /// An authority that signs certificates.
  package func authority(_ name: String) throws -> CertificateFiles {
    try openssl("req -x509 \(Self.newKey) -keyout \(name).key -out \(name).pem -subj /CN=\(name) -days 2")
    return files(name)
  }

  /// A certificate that an authority signs.
  ///
  /// - Parameters:
  ///   - names: Alternative names as openssl writes them: `DNS:a,IP:127.0.0.1,URI:x:y,email:a@b`.
  ///   - purpose: What it may be used for; nil: anything.
  ///   - isExpired: Whether it was in force for one day of 2020.
  package func certificate(
    _ name: String, by authority: CertificateFiles, subject: String? = nil, names: String = "",
    purpose: Purpose? = nil, isExpired: Bool = false
  ) throws -> CertificateFiles {
    let extensions = [
      "basicConstraints=critical,CA:FALSE", names.isEmpty ? nil : "subjectAltName=\(names)",
      purpose.map { "extendedKeyUsage=\($0.rawValue)" },
    ].compactMap { $0 }
    _ = try directory.write("\(name).cnf", Self.configuration(name, extensions))
    for file in ["index", "index.attr"] { try directory.write("\(name).\(file)", "") }
    try openssl(
      "req \(Self.newKey) -keyout \(name).key -out \(name).csr -subj \(subject ?? "/CN=\(name)")")
    // Of openssl's commands `ca` alone takes a date in the past.
    let dates = isExpired ? "-startdate 20200101000000Z -enddate 20200102000000Z" : "-days 2"
    try openssl(
      """
      ca -batch -config \(name).cnf -create_serial -in \(name).csr -out \(name).pem -notext \(dates) \
      -cert \(authority.certificate) -keyfile \(authority.key)
      """)
    return files(name)
  }

  private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

  private func files(_ name: String) -> CertificateFiles {
    CertificateFiles(certificate: directory.file("\(name).pem"), key: directory.file("\(name).key"))
  }

  private func openssl(_ arguments: String) throws {
    let result = try runNow("openssl", arguments.split(separator: " ").map(String.init), in: directory)
    guard result.status == 0 else { throw ToolError(description: "openssl \(arguments): \(result.errors)") }
  }

  private static func configuration(_ name: String, _ extensions: [String]) -> String {
    """
    [ca]
    default_ca = default
    [default]
    database = \(name).index
    serial = \(name).serial
    new_certs_dir = .
    default_md = sha256
    policy = policy
    preserve = yes
    x509_extensions = extensions
    [policy]
    commonName = supplied
    organizationName = optional
    [extensions]
    \(extensions.joined(separator: "\n"))

    """
  }
}
