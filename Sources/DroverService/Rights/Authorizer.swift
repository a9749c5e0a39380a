internal import DroverCore
internal import Glibc
internal import Logging
public import MicroHTTP
internal import Synchronization

/// Tells whether a request may do what it asks for.
///
/// Reading is open unless `web.yml` asks for a user. Acting takes a right that is granted in `access`; on the
/// control socket root and Drover's own user have all. Over TCP an address is no identity, and nothing that a
/// page in a browser sends acts.
public final class Authorizer: Sendable {
  private struct State {
    var rules: AccessRules
    var enabled: Set<ControlSwitch> = []
    var refusals: [RightRefusal: Int] = [:]
  }

  private let web: WebFile?
  private let log: Logger
  private let tokens: TokenFiles
  private let passwords = PasswordCheck()
  let desk: ReviewDesk
  private let state: Mutex<State>

  /// Nothing is granted yet.
  ///
  /// - Parameter reviewer: finds the back end that asks a cluster about tokens; nil where there is none of that name.
  init(
    web: WebFile?, ownUID: UInt32 = getuid(), log: Logger,
    reviewer: @escaping @Sendable (BackendName) -> (any AccessReviewer)? = { _ in nil }
  ) {
    self.web = web
    desk = ReviewDesk(reviewer: reviewer)
    self.log = log
    tokens = TokenFiles { finding in
      switch finding {
      case .error(let words): log.error("\(words)")
      case .warning(let words): log.warning("\(words)")
      }
    }
    state = Mutex(State(rules: AccessRules(ownUID: ownUID)))
  }

  /// Whether web.yml, where there is one, is in force as it is now.
  var isWebFileGood: Bool { web?.isGood ?? true }

  /// Puts rules and switches into force.
  ///
  /// - Parameter clusters: The back ends that can be asked about tokens.
  func apply(
    _ access: [AccessRule], _ switches: [ControlSwitch: SwitchState], clusters: Set<BackendName> = []
  ) {
    tokens.follow(
      access.compactMap { if case .tokenFile(let file) = $0.subject { file } else { nil } })
    state.withLock { state in
      state.rules.rules = access
      state.enabled = Set(switches.filter { $0.value != .disabled }.keys)
    }
    desk.forget()
    for case .kubernetes(let authority) in access.map(\.subject) where !clusters.contains(authority.backend) {
      log.warning(
        "access names a back end that is no cluster's: nobody is known by a token of it",
        metadata: ["backend": "\(printable(authority.backend.rawValue))"])
    }
    let users = web?.current().configuration.users ?? [:]
    for case .user(let name) in access.map(\.subject) where users[name] == nil {
      log.warning(
        "access grants rights to a user that web.yml does not know: nobody can be that user",
        metadata: ["user": "\(printable(name))"])
    }
  }

  /// Requests that were refused, by the reason, since the start.
  public var refusals: [RightRefusal: Int] { state.withLock(\.refusals) }

  /// Whether a switch is enabled, or lets things be decided in the shadow.
  public func isEnabled(_ controlSwitch: ControlSwitch) -> Bool {
    state.withLock { $0.enabled.contains(controlSwitch) }
  }

  // MARK: Acting

  /// Whether a request may act.
  ///
  /// - Parameters:
  ///   - needed: Rights that the caller must have, all of them; nobody acts where it is none.
  ///   - controlSwitch: The switch that must be enabled; nil where none arms it.
  ///   - review: What clusters have said; nobody is known by a token of theirs without.
  func authorize(
    _ request: Request, _ needed: Set<Right>, switch controlSwitch: ControlSwitch?,
    _ review: Review = Review()
  ) -> Authorization {
    if let refusal = refusalOfBrowser(request) { return .refused(refusal) }
    let shown = credentials(of: request, review)
    let rules = state.withLock(\.rules)
    let missing = needed.subtracting(rules.rights(of: shown.credentials)).sorted()
    guard missing.isEmpty, !needed.isEmpty else {
      return .refused(
        refusal(of: request, review) ?? refuse(request, missing, shown, isRule: true))
    }
    if let obstacle = controlSwitch.flatMap(obstacle) {
      return .refused(refuse(request, .switchDisabled, obstacle))
    }
    return .allowed(Requester(rules.bearers(of: needed, among: shown.credentials)))
  }

  /// That a switch is not enabled, and how to enable it; nil where it is.
  func obstacle(_ controlSwitch: ControlSwitch) -> String? {
    guard !isEnabled(controlSwitch) else { return nil }
    return
      "the switch control.switches.\(controlSwitch.rawValue) is disabled; enable it in the configuration: "
      + "control: {switches: {\(controlSwitch.rawValue): enabled}}"
  }

  /// Whether a request comes with all of some rights; nobody is refused anything.
  func has(_ request: Request, _ needed: Set<Right>, _ review: Review) -> Bool {
    guard !request.isOfBrowser, !needed.isEmpty else { return false }
    return state.withLock(\.rules).rights(of: credentials(of: request, review).credentials).isSuperset(
      of: needed)
  }

  /// Whether a request may act on Drover itself: on the control socket, as root or as Drover's own user.
  public func administers(_ request: Request) -> Authorization {
    if let refusal = refusalOfBrowser(request) { return .refused(refusal) }
    guard case .unix(let uid, _, _) = request.peer,
      uid == 0 || uid == state.withLock({ $0.rules.ownUID })
    else {
      return .refused(
        refuse(
          request, .missingRight,
          "only root and drover's own user may have the configuration re-read, over the control socket"))
    }
    return .allowed(Requester([.uid(uid)]))
  }

  // MARK: Reading

  /// What stands before every route.
  public var gate: RequestGate {
    RequestGate(fields: { self.fields() }) { self.admit($0) }
  }

  private func fields() -> [Headers.Field] {
    guard let web else { return [] }
    return web.current().configuration.headers.sorted { $0.key < $1.key }.map { .init($0.key, $0.value) }
  }

  private func admit(_ request: Request) -> RequestGate.Admission {
    // A handler that forgets to ask is not to act for a page.
    if !request.isReading, let refusal = refusalOfBrowser(request) { return .refused(refusal) }
    guard let web else { return .open }
    guard request.isOnSocket || web.takeRequest(at: .now) else {
      return .refused(
        refuse(
          request, .tooMany, "more requests come than rate_limit of web.yml lets in",
          headers: ["Retry-After": "1"], status: Self.tooManyStatus(request)))
    }
    let users = web.current().configuration.users
    guard !users.isEmpty else { return .open }
    guard !request.isOnSocket, case .basic(let user, let password) = ShownSecret(request.headers) else {
      let needed: Set<Right> = request.isReading ? [.read] : []
      if unreviewed(request, needed) != nil {
        return .undecided { self.admitted(request, await self.review(request, needed)) }
      }
      return admitted(request, Review()).map(RequestGate.Admission.refused) ?? .open
    }
    if passwords.known(user, password, users) == .right { return .open }
    return .undecided {
      switch await self.passwords.isRight(user, password, users) {
      case true?: return nil
      case false?:
        return self.refuse(
          request, request.isReading ? [.read] : [], Shown(isWrong: true, hasUsers: true),
          isRule: false)
      case nil:
        return self.refuse(
          request, .tooMany, "too many passwords wait for being checked", headers: ["Retry-After": "1"],
          status: Self.tooManyStatus(request))
      }
    }
  }

  /// Alertmanager gives up whatever is answered with 4xx.
  private static func tooManyStatus(_ request: Request) -> Int {
    request.path == "/api/v1/alerts" && !request.isReading ? 503 : 429
  }

  /// The refusal of a request that may not read while `web.yml` asks for a user; nil where it may.
  private func admitted(_ request: Request, _ review: Review) -> Response? {
    let shown = credentials(of: request, review)
    let rules = state.withLock(\.rules)
    // What acts asks for its own right.
    let suffices = request.isReading ? rules.rights(of: shown.credentials).contains(.read) : !shown.isEmpty
    if suffices { return nil }
    return refusal(of: request, review)
      ?? refuse(request, request.isReading ? [.read] : [], shown, isRule: false)
  }

  // MARK: Who

  private struct Shown {
    var credentials: [Credential] = []
    /// Whether a token or password was shown that is not right.
    var isWrong = false
    /// Whether web.yml knows users.
    var hasUsers = false

    var isEmpty: Bool { credentials.isEmpty }
  }

  /// What clusters are to be asked about: a token, the clusters with what they may grant, and what is missing; nil where
  /// their word would change nothing.
  func unreviewed(_ request: Request, _ needed: Set<Right>) -> (
    token: String, authorities: [(ClusterAuthority, Set<Right>)], missing: Set<Right>
  )? {
    let rules = state.withLock(\.rules)
    let authorities = rules.authorities
    guard !authorities.isEmpty, case .bearer(let token) = ShownSecret(request.headers),
      tokens.files(with: token).isEmpty
    else { return nil }
    let shown = credentials(of: request, Review())
    let missing = needed.subtracting(rules.rights(of: shown.credentials))
    return missing.isEmpty && !(needed.isEmpty && shown.isEmpty) ? nil : (token, authorities, missing)
  }

  private func credentials(of request: Request, _ review: Review) -> Shown {
    var shown = Shown()
    if case .unix(let uid, _, _) = request.peer {
      shown.credentials.append(.uid(uid))
    } else {
      let users = web?.current().configuration.users ?? [:]
      shown.hasUsers = !users.isEmpty
      if case .basic(let user, let password) = ShownSecret(request.headers) {
        if shown.hasUsers, passwords.calculate(user, password, users) {
          shown.credentials.append(.user(user))
        } else {
          shown.isWrong = true
        }
      }
      if let certificate = Credential(request.certificate) { shown.credentials.append(certificate) }
    }
    switch ShownSecret(request.headers) {
    case .bearer(let token):
      let files = tokens.files(with: token)
      shown.credentials += files.map(Credential.token) + review.credentials
      shown.isWrong = files.isEmpty && review.credentials.isEmpty
    case .unreadable: shown.isWrong = true
    case .none, .basic: break
    }
    return shown
  }

  // MARK: Refusals

  private func refusalOfBrowser(_ request: Request) -> Response? {
    guard request.isOfBrowser else { return nil }
    return refuse(
      request, .crossSite,
      "a page in a browser has sent this (it has the field Origin or Sec-Fetch-Site); pages never act, whoever "
        + "looks at them: use the drover command, or another client")
  }

  /// That clusters were asked in vain; nil where they have answered.
  private func refusal(of request: Request, _ review: Review) -> Response? {
    switch review.failure {
    case nil: nil
    case .busy:
      refuse(
        request, .tooMany, "too many tokens wait for a cluster's word", headers: ["Retry-After": "1"],
        status: Self.tooManyStatus(request))
    case .failed(let words):
      refuse(
        request, .reviewFailed, "whose token this is cannot be found out, so that nothing is done: \(words)",
        headers: ["Retry-After": "5"], status: 503)
    }
  }

  private func refuse(_ request: Request, _ missing: [Right], _ shown: Shown, isRule: Bool) -> Response {
    let words = missing.map(\.rawValue).joined(separator: " and ")
    let needs =
      missing.isEmpty
      ? "acting needs a right" : "this needs the \(missing.count == 1 ? "right" : "rights") \(words)"
    // Whoever a token is of is meant rather than the uid that shows it.
    let isOfCluster = { (credential: Credential) in if case .cluster = credential { true } else { false } }
    if let credential = shown.credentials.first(where: isOfCluster) ?? shown.credentials.first {
      let also = shown.isWrong ? ", and the token shown is none that is granted" : ""
      return refuse(
        request, .missingRight,
        "\(needs), which \(credential.words) has not\(also); "
          + credential.remedy(missing, state.withLock(\.rules)))
    }
    let cause =
      shown.isWrong ? "the token or password that was shown is not right" : "no credential was shown"
    let remedy =
      isRule
      ? "an address is no identity: show a token that access grants it (Authorization: Bearer), or use the "
        + "control socket"
      : "web.yml asks for a user: show one of basic_auth_users with the password, or a token with that right"
    var headers = Headers()
    // The first is the one that a browser and promtool understand.
    if shown.hasUsers { headers.add("WWW-Authenticate", #"Basic realm="drover""#) }
    headers.add(
      "WWW-Authenticate", #"Bearer realm="drover""# + (shown.isWrong ? #", error="invalid_token""# : ""))
    return refuse(
      request, shown.isWrong ? .wrongCredential : .noCredential, "\(needs): \(cause); \(remedy)",
      headers: headers, status: 401)
  }

  private func refuse(
    _ request: Request, _ reason: RightRefusal, _ detail: String, headers: Headers = Headers(),
    status: Int = 403
  ) -> Response {
    state.withLock { $0.refusals[reason, default: 0] += 1 }
    let peer =
      switch request.peer {
      case .tcp(let address): address
      case .unix(let uid, _, let pid): "uid \(uid) pid \(pid)"
      }
    log.notice(
      "request refused",
      metadata: [
        "peer": "\(peer)", "method": "\(printable(request.method.rawValue))",
        "path": "\(printable(request.rawPath))", "reason": "\(reason.rawValue)", "detail": "\(detail)",
      ])
    return .problem(status: status, detail: detail, reasons: [reason.rawValue], headers: headers)
  }
}
