import DroverCore
import Testing

@testable import DroverService

@Suite("Rights and switches in the configuration")
struct AccessConfigurationTests {
  private let prod = ClusterAuthority(backend: BackendName(rawValue: "prod"))

  @Test("nothing is granted and nothing armed by default")
  func defaults() {
    #expect(Configuration().access.isEmpty && Configuration().switches.isEmpty)
  }

  @Test("rights are granted to uids, tokens, users and certificates")
  func granted() throws {
    let configuration = try Configuration.parse(
      """
      access:
        - {uid: 1000, rights: [abort]}
        - {tokenFile: /etc/drover/alertmanager.token, rights: [alerts]}
        - {user: alice, rights: [migrate, drain]}
        - {certificate: "spiffe://x/y", rights: [read]}
        - {kubernetes: prod, rights: [abort]}
        - {kubernetes: prod, audience: drover, rights: [drain]}
      control: {switches: {manual: enabled, drain: disabled}}
      """, file: "f")
    #expect(
      configuration.access == [
        AccessRule(.uid(1000), [.abort]), AccessRule(.tokenFile("/etc/drover/alertmanager.token"), [.alerts]),
        AccessRule(.user("alice"), [.migrate, .drain]), AccessRule(.certificate("spiffe://x/y"), [.read]),
        AccessRule(.kubernetes(prod), [.abort]),
        AccessRule(.kubernetes(ClusterAuthority(backend: prod.backend, audience: "drover")), [.drain]),
      ])
    #expect(configuration.switches == [.manual: .enabled])
  }

  @Test(
    "what is wrong is told with its place",
    arguments: [
      (
        "[{rights: [abort]}]",
        "f:1:10: an entry of access is for one of uid, tokenFile, user, certificate, kubernetes, not for nobody"
      ),
      ("[{uid: 1, user: a, rights: [abort]}]", "not for uid and user; such as"),
      ("[{uid: 1}]", "f:1:10: an entry of access grants no rights; such as rights: [abort]"),
      ("[{uid: 1, rights: []}]", "f:1:27: an entry of access grants no rights"),
      ("[{uid: 1, rights: abort}]", #"access.rights must be a list, not "abort""#),
      (
        "[{uid: 1, rights: [aborts]}]",
        #"an entry of access.rights must be one of read, abort, migrate, drain, alerts, not "aborts"; did you mean abort?"#
      ),
      ("[{uid: 1, rights: [abort, abort]}]", "access.rights names abort twice; remove one"),
      ("[{uid: -1, rights: [abort]}]", "access.uid must be a whole number from 0 to 4294967294"),
      ("[{uid: root, rights: [abort]}]", "access.uid must be a whole number"),
      ("[{kubernetes: '', rights: [abort]}]", "access.kubernetes is empty; it is the name of a back end"),
      (
        "[{uid: 1, audience: drover, rights: [abort]}]",
        "f:1:29: access.audience is that of a token of a cluster; give kubernetes, or remove it"
      ),
      (
        "[{kubernetes: a, rights: [abort]}, {kubernetes: a, rights: [drain]}]",
        #"access names kubernetes "a" twice"#
      ),
      ("[{user: '', rights: [abort]}]", "access.user is empty; such as alice"),
      ("[{user: yes, rights: [abort]}]", "YAML reads yes as a boolean"),
      (
        "[{tokenFile: a.token, rights: [abort]}]",
        #"access.tokenFile must be an absolute path, not "a.token""#
      ),
      ("[{token: abc, rights: [abort]}]", "a token is in a file of its own (tokenFile)"),
      ("[{uid: 1, right: [abort]}]", #"unknown key "right" in access; did you mean "rights"?"#),
      ("[~]", "an entry of access is empty; such as"),
      ("{uid: 1}", "access must be a list, not keys with values"),
      (
        "[{uid: 1, rights: [abort]}, {uid: 1, rights: [drain]}]",
        "f:1:37: access names uid 1 twice, on lines 1 and 1; put the rights together"
      ),
    ])
  func wrong(access: String, error: String) {
    let told = errors("access: \(access)")
    #expect(told.contains { $0.contains(error) }, "\(told)")
  }

  @Test(
    "a switch is disabled or enabled, and only two of the four know a shadow",
    arguments: [
      ("{switches: {manual: on}}", #"control.switches.manual must be one of disabled, enabled, not "on""#),
      ("{switches: {manual: true}}", "must be one of disabled, enabled"),
      ("{switches: {manuel: enabled}}", #"did you mean "manual"?"#),
      ("{switches: {drain: shadow}}", #"must be one of disabled, enabled, not "shadow""#),
      ("{switches: {policies: on}}", #"must be one of disabled, shadow, enabled, not "on""#),
      ("{manual: enabled}", "it is one of control.switches"),
    ])
  func wrongSwitch(control: String, error: String) {
    let told = errors("control: \(control)")
    #expect(told.count == 1 && told.first?.contains(error) == true, "\(told)")
  }

  @Test("drains have two figures, and nothing else")
  func drain() throws {
    let configuration = try Configuration.parse("control: {drain: {parallel: 5, attempts: 1}}", file: "f")
    #expect(configuration.drain.parallel == 5 && configuration.drain.attempts == 1)
    #expect(Configuration().drain.parallel == 2 && Configuration().drain.attempts == 3)
    for (text, error) in [
      ("{parallel: 0}", "control.drain.parallel must be a whole number from 1 to 100"),
      ("{attempts: many}", "control.drain.attempts must be a whole number from 1 to 100"),
      ("{paralel: 2}", #"did you mean "parallel"?"#), ("2", "control.drain must be keys with values"),
    ] {
      let told = errors("control: {drain: \(text)}")
      #expect(told.count == 1 && told.first?.contains(error) == true, "\(told)")
    }
    let shown = EffectiveConfiguration(configuration).description
    #expect(try Configuration.parse(shown, file: "f").drain == configuration.drain)
  }

  @Test("check-config shows what is in force, as a file that means the same")
  func effective() throws {
    let text = """
      access: [{uid: 5, rights: [drain, abort]}, {certificate: "a b", rights: [read]}, {kubernetes: c, audience: d, rights: [abort]}]
      control: {switches: {drain: enabled}}
      """
    let configuration = try Configuration.parse(text, file: "f")
    let shown = EffectiveConfiguration(configuration).description
    #expect(
      shown.contains(
        """
        access:
          - uid: 5
            rights:
              - abort
              - drain
          - certificate: "a b"
            rights:
              - read
          - kubernetes: "c"
            audience: "d"
            rights:
              - abort
        control:
          switches:
            manual: disabled
            drain: enabled
            policies: disabled
            alerts: disabled
          drain:
            parallel: 2
            attempts: 3
        """), "\(shown)")
    let again = try Configuration.parse(shown, file: "f")
    #expect(again.access == configuration.access)
    #expect(again.switches == [.drain: .enabled])
  }
}
