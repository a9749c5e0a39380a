internal import MicroHTTP

/// What `web.yml` says, in the form of Prometheus' exporter-toolkit: TLS, users, headers, a limit of requests.
struct WebConfiguration: Hashable, Sendable {
  /// TLS; nil: connections are plain.
  var tls: TLS?
  /// Field by name, for each answer.
  var headers: [String: String] = [:]
  /// Users with their passwords; none: reading asks for nobody.
  var users: [String: BcryptHash] = [:]
  /// Most requests over TCP; nil: no limit.
  var rateLimit: RateLimit?
  /// What is taken, and is without effect.
  var remarks: [String] = []

  /// A PEM text, or the file that holds it.
  enum PEM: Hashable, Sendable {
    case file(String)
    case text(String)

    var file: String? { if case .file(let path) = self { path } else { nil } }
  }

  /// How TLS is spoken; files are not read yet.
  struct TLS: Hashable, Sendable {
    var certificate: PEM
    var key: PEM
    var clientAuthorities: PEM?
    /// Everything but the texts.
    var settings: TLSSettings
  }

  /// A bucket of tokens, of which each request takes one.
  struct RateLimit: Hashable, Sendable {
    /// How long it takes until there is one more.
    var interval: Duration
    /// How many there can be.
    var burst: Int
  }

  /// Reads a text; throws everything that is wrong with it.
  ///
  /// - Parameter file: The name that errors begin with; paths in the text are relative to its directory.
  static func parse(_ text: String, file: String) throws(ConfigurationError) -> WebConfiguration {
    let document: YAMLDocument
    do throws(YAMLDocument.Failure) {
      document = try YAMLDocument(parsing: text.first == "\u{FEFF}" ? String(text.dropFirst()) : text)
    } catch {
      throw ConfigurationError(
        .syntax, file: file,
        [ConfigurationProblem(line: error.place?.line, column: error.place?.column, text: error.text)])
    }
    var reader = ConfigurationReader(document)
    let configuration = reader.webConfiguration(directory: directory(of: file))
    guard reader.problems.isEmpty else { throw ConfigurationError(.invalid, file: file, reader.problems) }
    return configuration
  }

  private static func directory(of file: String) -> String {
    guard let slash = file.lastIndex(of: "/") else { return "." }
    return slash == file.startIndex ? "/" : String(file[..<slash])
  }
}

extension WebConfiguration.TLS {
  /// The files that it stands on.
  var files: [String] { [certificate, key, clientAuthorities].compactMap { $0?.file } }

  /// Reads the files.
  func credentials() throws -> TLSCredentials {
    var settings = settings
    settings.certificate = try bytes(certificate)
    settings.key = try bytes(key)
    settings.clientAuthorities = try clientAuthorities.map(bytes) ?? []
    return try TLSCredentials(settings)
  }

  private func bytes(_ pem: WebConfiguration.PEM) throws(FileProblem) -> [UInt8] {
    switch pem {
    case .file(let path): try contents(of: path, limit: 1 << 20)
    case .text(let text): Array(text.utf8)
    }
  }
}
