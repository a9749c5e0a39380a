import CurlClient
import Foundation
import Testing

@testable import Kubernetes

@Suite struct KubeconfigTests {
  static let whole = """
    apiVersion: v1
    kind: Config
    current-context: prod
    clusters:
    - name: c
      cluster:
        server: https://rancher.example/k8s/clusters/c-1
        certificate-authority: pki/ca.crt
        certificate-authority-data: \(Data("PEM".utf8).base64EncodedString())
        tls-server-name: inner.example
        proxy-url: socks5://localhost:1080
    users:
    - name: u
      user: {client-certificate: pki/u.crt, client-key-data: \(Data("KEY".utf8).base64EncodedString()), token: 12345}
    contexts:
    - context: {cluster: c, user: u, namespace: vms}
      name: prod
    - {name: other, context: {cluster: c}}
    preferences: {}
    """

  func problem(_ text: String, context: String? = nil) -> String {
    let error = #expect(throws: AccessError.self) {
      _ = try Kubeconfig([(path: "/k/config", text: text)]).access(context: context)
    }
    return error?.description ?? ""
  }

  func oneUser(_ user: String, cluster: String = "server: https://h") -> String {
    """
    clusters: [{name: c, cluster: {\(cluster)}}]
    users: [{name: bob, user: {\(user)}}]
    contexts: [{name: x, context: {cluster: c, user: bob}}]
    current-context: x
    """
  }

  @Test func everyPartIsRead() async throws {
    let access = try Kubeconfig([(path: "/k/config", text: Self.whole)]).access()
    #expect(access.address.description == "https://rancher.example/k8s/clusters/c-1")
    #expect(access.tls.authorities == .pem(Array("PEM".utf8)))
    #expect(access.tls.serverName == "inner.example")
    #expect(access.tls.verifiesPeer)
    #expect(access.proxy == .url("socks5://localhost:1080"))
    #expect(access.namespace == "vms")
    #expect(access.origin == "kubeconfig /k/config, context 'prod'")
    let identity = try await access.credentials.current()
    #expect(identity.token == "12345")
    #expect(identity.clientCertificate == .file("/k/pki/u.crt"))
    #expect(identity.clientKey == .pem(Array("KEY".utf8)))
  }

  @Test func aContextCanBeChosenAndMayHaveNoUserAndNoNamespace() async throws {
    let access = try Kubeconfig([(path: "/k/config", text: Self.whole)]).access(context: "other")
    #expect(access.namespace == "default")
    #expect(try await access.credentials.current() == Identity())
  }

  @Test func theFirstOfEachNameCountsAndPathsBelongToTheirFile() async throws {
    let first = """
      clusters: [{name: a, cluster: {server: "https://first", certificate-authority: a.crt}}]
      users: [{name: u, user: {tokenFile: first.token}}]
      """
    let second = """
      current-context: x
      clusters: [{name: a, cluster: {server: "https://second"}}]
      users: [{name: u, user: {token: second}}]
      contexts: [{name: x, context: {cluster: a, user: u}}]
      """
    let directory = try TestDirectory()
    try directory.write("from file\n".replacingOccurrences(of: " ", with: "-"), to: "one/first.token")
    try directory.write("CA", to: "one/a.crt")
    let one = try directory.write(first, to: "one/config")
    let two = try directory.write(second, to: "two/config")
    let kubeconfig = try Kubeconfig.load(environment: ["KUBECONFIG": "\(one)::/no/such/file:\(two):\(one)"])
    #expect(kubeconfig.files == [one, two])
    let access = try kubeconfig.access()
    #expect(access.address.description == "https://first")
    #expect(access.tls.authorities == .file("\(directory.path)/one/a.crt"))
    #expect(try await access.credentials.current().token == "from-file")
  }

  @Test func theFileGivenComesBeforeTheEnvironmentAndThatBeforeTheHome() throws {
    let directory = try TestDirectory()
    func config(_ name: String) -> String { "contexts: [{name: \(name), context: {cluster: c}}]" }
    let given = try directory.write(config("given"), to: "given")
    let named = try directory.write(config("named"), to: "named")
    try directory.write(config("home"), to: ".kube/config")
    let home = ["HOME": directory.path]
    let both = ["HOME": directory.path, "KUBECONFIG": named]
    #expect(try Kubeconfig.load(file: given, environment: both).contexts.map(\.name) == ["given"])
    #expect(try Kubeconfig.load(environment: both).contexts.map(\.name) == ["named"])
    #expect(try Kubeconfig.load(environment: home).contexts.map(\.name) == ["home"])
  }

  @Test func aFileThatIsMissingIsNamed() {
    for (file, environment) in [
      ("/no/such", [:]), (nil, ["KUBECONFIG": "/no/such"]), (nil, ["HOME": "/no/such"]),
    ] as [(String?, [String: String])] {
      let error = #expect(throws: AccessError.self) {
        _ = try Kubeconfig.load(file: file, environment: environment)
      }
      #expect(error?.description.contains("/no/such") == true)
    }
    #expect(throws: AccessError.self) { _ = try Kubeconfig.load(environment: [:]) }
  }

  @Test func anEmptyFileHasNoContext() {
    #expect(problem("") == "kubeconfig /k/config: no current-context: name one of (there is none)")
    #expect(problem("apiVersion: v1\nclusters: null\ncurrent-context: ''").contains("no current-context"))
  }

  @Test func whatIsNamedAndNotThereIsToldWithWhatIs() {
    #expect(problem(Self.whole, context: "dev").hasSuffix("no context 'dev': use one of 'prod', 'other'"))
    let text = "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"
    #expect(
      problem(text)
        == "kubeconfig /k/config, line 1, context 'x': it names cluster 'c': use one of (there is none)")
    #expect(
      problem(text + "clusters: [{name: c, cluster: {server: 'https://h'}}]").contains("it names user 'u'"))
  }

  @Test(arguments: [
    ("a: [", "not valid YAML"), ("- a", "no mapping"), ("clusters: x", "clusters (line 1): it is no list"),
    ("clusters:\n- name: a\n- name: a\n", "line 3, cluster 'a': the name comes twice"),
    ("current-context: {}", "current-context (line 1): it is no text"),
    ("clusters: [{name: a, cluster: {insecure-skip-tls-verify: maybe}}]", "write true or false"),
  ])
  func aBadFileSaysWhereAndWhat(text: String, words: String) { #expect(problem(text).contains(words)) }

  @Test(arguments: [
    ("", "no server: write server: https://host:6443"), ("server: 'https://u:p@h'", "a user or password"),
    ("server: 'https://h', certificate-authority: /no/ca", "certificate-authority /no/ca: No such file"),
    ("server: 'https://h', certificate-authority-data: '%'", "certificate-authority-data: no base64"),
    (
      "server: 'https://h', insecure-skip-tls-verify: true, certificate-authority: /no/ca",
      "insecure-skip-tls-verify beside a certificate-authority"
    ),
  ])
  func aBadClusterSaysWhatToDo(cluster: String, words: String) {
    let text = problem(oneUser("token: t", cluster: cluster))
    #expect(text.hasPrefix("kubeconfig /k/config, line 1, cluster 'c': "))
    #expect(text.contains(words))
  }

  @Test(arguments: [
    ("auth-provider: {name: gcp}", "auth-provider 'gcp' is no longer supported"),
    ("token: t, username: u", "a token beside a username"),
    ("client-certificate: a.crt", "client-certificate or client-key without the other"),
    ("client-key-data: '!'", "client-key-data: no base64"),
    ("exec: {command: x}", "exec: apiVersion ''"),
    ("exec: {command: x, apiVersion: client.authentication.k8s.io/v1alpha1}", "exec: apiVersion 'client"),
    ("exec: {apiVersion: client.authentication.k8s.io/v1}", "exec: no command"),
    (
      "exec: {command: x, apiVersion: client.authentication.k8s.io/v1, interactiveMode: Always}",
      "exec: interactiveMode 'Always'"
    ),
    ("exec: {command: x, env: [{value: y}]}", "a variable of env has no name"),
  ])
  func aBadUserSaysWhatToDo(user: String, words: String) {
    let text = problem(oneUser(user))
    #expect(text.hasPrefix("kubeconfig /k/config, line 2, user 'bob': "))
    #expect(text.contains(words))
  }

  @Test func aServerWithoutSchemeIsSecure() throws {
    let access = try Kubeconfig([(path: "c", text: oneUser("", cluster: "server: 'h:6443'"))]).access()
    #expect(access.address.description == "https://h:6443")
  }

  @Test func anInsecureClusterVerifiesNothing() throws {
    let text = oneUser("", cluster: "server: 'https://h', insecure-skip-tls-verify: true")
    let tls = try Kubeconfig([(path: "c", text: text)]).access().tls
    #expect((tls.verifiesPeer, tls.verifiesHost) == (false, false))
  }

  @Test func aPasswordAndAnotherUserAreShown() async throws {
    let text = oneUser(
      "username: u, password: 'p:w', as: boss, as-groups: [g, h], as-uid: '7', as-user-extra: {Sc/ope: [x]}")
    let credentials = try Kubeconfig([(path: "c", text: text)]).access().credentials
    var request = Request(.get, Endpoint(try ServerAddress(parsing: "https://h"), path: "/"))
    try await credentials.current().apply(to: &request)
    #expect(request.headers["Authorization"] == "Basic \(Data("u:p:w".utf8).base64EncodedString())")
    #expect(request.headers["Impersonate-User"] == "boss")
    #expect(request.headers["Impersonate-Uid"] == "7")
    #expect(request.headers.values("Impersonate-Group") == ["g", "h"])
    #expect(request.headers["Impersonate-Extra-Sc%2Fope"] == "x")
  }

  @Test func aFixedTokenIsShownInPlaceOfAProgram() async throws {
    let text = oneUser("token: t, exec: {command: /no/such, apiVersion: client.authentication.k8s.io/v1}")
    #expect(try await Kubeconfig([(path: "c", text: text)]).access().credentials.current().token == "t")
  }
}

@Suite struct InClusterTests {
  @Test func thePodsAccountIsRead() async throws {
    let directory = try TestDirectory()
    try directory.write("one", to: "token")
    try directory.write("CA", to: "ca.crt")
    try directory.write("vms\n", to: "namespace")
    let time = TestTime()
    func access(_ host: String) throws -> ClusterAccess {
      try ClusterAccess.inCluster(
        environment: ["KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"],
        directory: directory.path, timing: time.timing)
    }
    #expect(try access("fd00::1").address.description == "https://[fd00::1]:443")
    let access = try access("10.0.0.1")
    #expect(access.address.description == "https://10.0.0.1:443")
    #expect(access.namespace == "vms")
    #expect(access.tls.authorities == .file("\(directory.path)/ca.crt"))
    #expect(try await access.credentials.current().token == "one")
    try directory.write("two", to: "token")
    #expect(try await access.credentials.current().token == "one")
    time.advance(10)
    #expect(try await access.credentials.current().token == "two")
  }

  @Test func whatIsMissingIsNamed() throws {
    let directory = try TestDirectory()
    func problem(_ environment: [String: String]) -> String {
      let error = #expect(throws: AccessError.self) {
        _ = try ClusterAccess.inCluster(environment: environment, directory: directory.path)
      }
      return error?.description ?? ""
    }
    #expect(problem([:]).contains("KUBERNETES_SERVICE_HOST"))
    let pod = ["KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "443"]
    #expect(problem(pod).contains("\(directory.path)/token: No such file"))
    try directory.write("", to: "token")
    #expect(problem(pod).contains("it is empty"))
    try directory.write("t", to: "token")
    #expect(problem(pod).contains("\(directory.path)/ca.crt: No such file"))
  }
}

@Suite struct TokenFileTests {
  @Test func theLastTokenStaysWhileTheFileIsAway() throws {
    let directory = try TestDirectory()
    let path = try directory.write("one\n", to: "token")
    let file = TokenFile(path: path, place: "here")
    let now = Date(timeIntervalSince1970: 1000)
    #expect(try file.token(at: now) == "one")
    try FileManager.default.removeItem(atPath: path)
    #expect(try file.token(at: now + 20) == "one")
    try directory.write("two", to: "token")
    #expect(try file.token(at: now + 21) == "two")
  }

  @Test func aRefusedTokenIsReadAnewAtOnce() throws {
    let directory = try TestDirectory()
    let file = TokenFile(path: try directory.write("one", to: "token"), place: "here")
    let now = Date(timeIntervalSince1970: 1000)
    #expect(try file.token(at: now) == "one")
    try directory.write("two", to: "token")
    #expect(try file.token(at: now, rejected: "zero") == "one")
    #expect(try file.token(at: now, rejected: "one") == "two")
  }

  @Test func aClockThatIsSetBackDoesNotKeepAnOldToken() throws {
    let directory = try TestDirectory()
    let file = TokenFile(path: try directory.write("one", to: "token"), place: "here")
    #expect(try file.token(at: Date(timeIntervalSince1970: 5000)) == "one")
    try directory.write("two", to: "token")
    #expect(try file.token(at: Date(timeIntervalSince1970: 1000)) == "two")
  }

  @Test func aTokenBesideTheFileStandsIn() throws {
    let file = TokenFile(path: "/no/such", place: "here", fallback: "given")
    #expect(try file.token(at: Date()) == "given")
  }

  @Test func whatIsNoTokenIsRefused() throws {
    let directory = try TestDirectory()
    let file = TokenFile(path: try directory.write("two words", to: "token"), place: "here")
    let error = #expect(throws: AccessError.self) { _ = try file.token(at: Date()) }
    #expect(error?.description.hasSuffix("token: it is no single word") == true)
  }
}
