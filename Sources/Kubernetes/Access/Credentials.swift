internal import CurlClient
internal import FoundationEssentials

/// Who asks: nothing, a fixed token or certificate, a token in a file, or a program that makes them.
public final class Credentials: Sendable {
  private enum Source {
    case fixed
    case file(TokenFile)
    case program(ExecSource)
  }

  /// Nobody in particular.
  public static let none = Credentials(Identity())

  private let source: Source
  /// What is shown beside, or instead of, what the source brings.
  private let base: Identity
  private let timing: Timing

  /// Shows always the same.
  init(_ identity: Identity) {
    source = .fixed
    base = identity
    timing = .system
  }

  /// Shows the token that is in a file.
  init(tokenFile: TokenFile, beside base: Identity = Identity(), timing: Timing) {
    source = .file(tokenFile)
    self.base = base
    self.timing = timing
  }

  /// Shows what a program made.
  init(program: ExecSource, beside base: Identity = Identity(), timing: Timing) {
    source = .program(program)
    self.base = base
    self.timing = timing
  }

  /// A fixed bearer token.
  public convenience init(token: String) { self.init(Identity(token: token)) }

  /// A bearer token in a file that is read anew when it changes.
  public convenience init(tokenFile path: String, timing: Timing = .system) {
    self.init(tokenFile: TokenFile(path: path, place: "credentials"), timing: timing)
  }

  /// What to show now.
  func current() async throws(AccessError) -> Identity {
    switch source {
    case .fixed: return base
    case .file(let file): return base.with(token: try file.token(at: timing.now()))
    case .program(let program): return base.with(try await program.credential())
    }
  }

  /// What to show after the server refused `rejected`; nil where there is nothing new.
  func renewed(after rejected: Identity) async throws(AccessError) -> Identity? {
    let identity: Identity
    switch source {
    case .fixed: return nil
    case .file(let file):
      identity = base.with(token: try file.token(at: timing.now(), rejected: rejected.token))
    case .program(let program):
      identity = base.with(try await program.credential(rejected: rejected.made))
    }
    return identity == rejected ? nil : identity
  }
}

/// What one request shows.
struct Identity: Hashable, Sendable {
  var token: String?
  var basic: (user: String, password: String)? {
    get { user.map { ($0, password ?? "") } }
    set { (user, password) = (newValue?.user, newValue?.password) }
  }
  private var user: String?
  private var password: String?
  var clientCertificate: PEMSource?
  var clientKey: PEMSource?
  /// Whose rights to use instead of one's own.
  var impersonation: [HTTPHeaders.Field] = []
  /// What a program made of it.
  private(set) var made: ExecCredential?

  init(token: String? = nil) { self.token = token }

  func with(token: String) -> Identity {
    var identity = self
    identity.token = token
    return identity
  }

  func with(_ credential: ExecCredential) -> Identity {
    var identity = self
    identity.made = credential
    if let token = credential.token { identity.token = token }
    if let certificate = credential.certificate, let key = credential.key {
      identity.clientCertificate = .pem(Array(certificate.utf8))
      identity.clientKey = .pem(Array(key.utf8))
    }
    return identity
  }

  /// Shows itself in a request.
  func apply(to request: inout Request) {
    if let token { request.bearerToken = BearerToken(token) }
    var fields = request.headers.fields + impersonation
    if let basic {
      let words = Data("\(basic.user):\(basic.password)".utf8).base64EncodedString()
      fields.append(.init(name: "Authorization", value: "Basic \(words)"))
    }
    request.headers = HTTPHeaders(fields)
    request.tls.clientCertificate = clientCertificate
    request.tls.clientKey = clientKey
  }
}
