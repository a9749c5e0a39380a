import DroverCore
import LibvirtBackend
import Testing

@testable import DroverService

@Suite("Configuration of libvirt hosts")
struct LibvirtConfigurationTests {
  private func hosts(_ text: String) throws -> [Configuration.Libvirt] {
    try Configuration.parse(text, file: "f").backends.compactMap { backend in
      if case .libvirt(let libvirt) = backend { libvirt } else { nil }
    }
  }

  @Test("a URI is enough")
  func defaults() throws {
    let host = try #require(try hosts("backends: [{libvirt: {uri: 'qemu://host-a/system'}}]").first)
    #expect(
      host
        == Configuration.Libvirt(
          name: BackendName(rawValue: "host-a"), uri: "qemu://host-a/system", host: "", dirtyRate: false,
          timeouts: BudgetSettings(), keepalive: nil))
  }

  @Test(
    "a host without a name is called what its URI names",
    arguments: [
      ("qemu://host-a.example/system", "host-a.example"), ("qemu+ssh://root@b:22/system?keyfile=/k", "b"),
      ("qemu+tcp://[2001:db8::1]:16509/system", "2001-db8-1"), ("qemu+tcp://[::1]/system", "1"),
      ("qemu+tls://höst/system", "h-st"), ("qemu://%20/system", "20"), ("qemu://[::]/system", "libvirt"),
      ("qemu://\(String(repeating: "a", count: 300))/system", String(repeating: "a", count: 57)),
    ])
  func defaultName(uri: String, name: String) throws {
    #expect(try hosts("backends: [{libvirt: {uri: \"\(uri)\"}}]").first?.name.rawValue == name)
    #expect(try Configuration().adding(libvirtURIs: [uri]).backends.map(\.name.rawValue) == [name])
  }

  @Test(
    "one on this machine is called what this machine is called",
    arguments: ["qemu:///system", "qemu+unix:///session", "test:///default"])
  func ownName(uri: String) throws {
    let name = try #require(try hosts("backends: [{libvirt: {uri: \"\(uri)\"}}]").first).name.rawValue
    #expect(name == LibvirtURI.backendName(of: "qemu://\(HostName.ofThisMachine)/system"))
  }

  @Test("names are kept apart by a number, over file and flags and kinds")
  func names() throws {
    let configuration = try Configuration.parse(
      """
      backends:
        - libvirt: {uri: "qemu://a/system"}
        - libvirt: {name: a-2, uri: "qemu+tcp://a/system"}
        - qemu: {name: qemu-a, sockets: [/x]}
        - libvirt: {uri: "qemu+tls://a/system"}
        - libvirt: {uri: "qemu://qemu-a/system"}
        - qemu: {sockets: [/y]}
      timeouts: {progress: 7m, keepalive: {interval: 2s}}
      """, file: "f"
    ).adding(qemuSockets: ["/z"]).adding(libvirtURIs: ["qemu+ssh://a/system", "qemu+libssh://a/system"])
    #expect(
      configuration.backends.map(\.name.rawValue) == [
        "a", "a-2", "qemu-a", "a-3", "qemu-a-2", "qemu", "qemu-2", "a-4", "a-5",
      ])
    guard case .libvirt(let last) = try #require(configuration.backends.last) else { return }
    #expect(last.uri == "qemu+libssh://a/system")
    #expect(last.timeouts.progress == .seconds(420))
    #expect(last.keepalive == KeepaliveSettings(interval: .seconds(2), count: 5))
    // And all of that is a file again.
    let text = EffectiveConfiguration(configuration).description
    #expect(try Configuration.parse(text, file: "effective") == configuration)
  }

  @Test(
    "a keepalive is what is nearest: of the host, of all, of the host's qemu.conf",
    arguments: [
      ("", "", nil), ("", "{}", nil), ("~", "~", nil),
      ("{interval: 9s, count: 9}", "", KeepaliveSettings(interval: .seconds(9), count: 9)),
      ("{interval: 9s, count: 9}", "{}", KeepaliveSettings(interval: .seconds(9), count: 9)),
      ("{interval: 9s, count: 9}", "{interval: 1s}", KeepaliveSettings(interval: .seconds(1), count: 9)),
      ("{interval: 9s, count: 9}", "{count: 0}", KeepaliveSettings(interval: .seconds(9), count: 0)),
      ("", "{count: 1000}", KeepaliveSettings(interval: .seconds(5), count: 1000)),
      ("", "{interval: 1h}", KeepaliveSettings(interval: .seconds(3600), count: 5)),
      ("", "{interval: 0}", KeepaliveSettings(interval: .zero, count: 5)),
      ("", "{interval: 0s, count: 5}", KeepaliveSettings(interval: .zero, count: 5)),
    ] as [(String, String, KeepaliveSettings?)])
  func keepalive(all: String, own: String, expected: KeepaliveSettings?) throws {
    let configuration = try Configuration.parse(
      """
      backends: [{libvirt: {uri: "qemu://a/system", timeouts: {keepalive: \(own)}}}]
      timeouts: {keepalive: \(all)}
      """, file: "f")
    guard case .libvirt(let host) = try #require(configuration.backends.first) else { return }
    #expect(host.keepalive == expected)
    #expect(host.keepalive?.isEnabled ?? true == (expected?.interval != .zero))
    let text = EffectiveConfiguration(configuration).description
    #expect(try Configuration.parse(text, file: "effective") == configuration)
  }

  @Test("all of it reaches the back end")
  func wiring() throws {
    let all = try hosts(
      """
      backends:
        - libvirt: {name: a, uri: "qemu://b/system", host: c, dirtyRate: true,
                    timeouts: {completionPerGiB: 1m, progress: 2m, keepalive: {interval: 3s, count: 4}}}
        - libvirt: {uri: "qemu://d/system"}
      """)
    try #require(all.count == 2)
    let first = LibvirtConfiguration(all[0], root: "/host")
    #expect(first.name.rawValue == "a")
    #expect(first.uri == "qemu://b/system")
    #expect(first.host == "c")
    #expect(first.dirtyRate)
    #expect(first.budget == BudgetSettings(completionPerGiB: .seconds(60), progress: .seconds(120)))
    #expect(first.keepalive == KeepaliveSettings(interval: .seconds(3), count: 4))
    #expect(first.root == "/host")
    let second = LibvirtConfiguration(all[1], root: "/")
    #expect(second.host.isEmpty)
    #expect(!second.dirtyRate)
    #expect(second.budget == BudgetSettings())
    #expect(second.keepalive == nil)
    #expect(second.root == "/")
  }

  @Test("what is in force is shown, with a keepalive only where one is set")
  func effective() throws {
    let configuration = try Configuration.parse(
      """
      backends:
        - libvirt: {uri: "qemu://a/system"}
        - libvirt: {name: b, uri: "qemu+tcp://b/system", host: b1, dirtyRate: true, timeouts: {keepalive: {count: 3}}}
      """, file: "f")
    let shown = EffectiveConfiguration(configuration)
    #expect(
      shown.description.hasPrefix(
        """
        backends:
          - libvirt:
              name: "a"
              uri: "qemu://a/system"
              controlURI: ""
              peers: []
              host: ""
              dirtyRate: false
              timeouts:
                completionPerGiB: 800s
                progress: 150s
                # keepalive: what the host's qemu.conf says
          - libvirt:
              name: "b"
              uri: "qemu+tcp://b/system"
              controlURI: ""
              peers: []
              host: "b1"
              dirtyRate: true
              timeouts:
                completionPerGiB: 800s
                progress: 150s
                keepalive:
                  interval: 5s
                  count: 3
        timeouts:
          completionPerGiB: 800s
          progress: 150s
          # keepalive: what each libvirt host's qemu.conf says
        verdict:

        """), "\(shown.description)")
    #expect(try Configuration.parse(shown.description, file: "effective") == configuration)
    let json = String(decoding: try APICoding.encode(shown), as: UTF8.self)
    #expect(
      json.hasPrefix(
        #"{"access":[],"backends":[{"libvirt":{"controlURI":"","dirtyRate":false,"host":"","name":"a","peers":[],"#
          + #""timeouts":{"completionPerGiB":"800s","progress":"150s"},"uri":"qemu://a/system"}},"#
          + #"{"libvirt":{"controlURI":"","dirtyRate":true,"host":"b1","name":"b","peers":[],"timeouts":{"completionPerGiB":"800s","#
          + #""keepalive":{"count":3,"interval":"5s"},"progress":"150s"},"uri":"qemu+tcp://b/system"}}],"#),
      "\(json)")
    #expect(try Configuration.parse(json, file: "json") == configuration)
  }

  @Test(
    "a bad value says what is expected",
    arguments: [
      ("{}", #"f:1:22: libvirt.uri must be given; such as uri: "qemu:///system""#),
      ("", #"f:1:22: libvirt.uri must be given; such as uri: "qemu:///system""#),
      ("{name: a}", #"f:1:22: libvirt.uri must be given; "#),
      ("{uri: }", #"f:1:28: libvirt.uri must be given; "#),
      ("{uri: \"\"}", #"f:1:28: libvirt.uri: a URI must be given, such as qemu:///system"#),
      ("{uri: []}", #"f:1:28: libvirt.uri must be a text, not a list; such as "qemu:///system""#),
      (
        "{uri: host-a}",
        #"f:1:28: libvirt.uri: "host-a" is no URI; write qemu+ssh://host-a/system to go there by ssh"#
      ),
      (
        "{uri: 'qemu:///system', uir: x}",
        #"f:1:46: unknown key "uir" in libvirt; did you mean "uri"? allowed here: "#
      ),
      (
        "{uri: 'qemu:///system', sockets: []}",
        #"f:1:46: unknown key "sockets" in libvirt; allowed here: controlURI, dirtyRate, host, "#
      ),
      (
        "{uri: 'qemu:///system', name: a b}",
        #"f:1:52: libvirt.name may have up to 63 of A-Z a-z 0-9 _ . - in it, "#
      ),
      ("{uri: 'qemu:///system', host: no}", #"f:1:52: libvirt.host: YAML reads no as a boolean; "#),
      (
        "{uri: 'qemu:///system', dirtyRate: yes}",
        #"f:1:57: libvirt.dirtyRate must be true or false without quotes, not "yes"; write true"#
      ),
      (
        "{uri: 'qemu:///system', timeouts: {keepalive: 5s}}",
        #"f:1:68: libvirt.timeouts.keepalive must be keys with values, not "5s"; allowed here: count, interval"#
      ),
    ])
  func values(value: String, beginning: String) {
    let told = errors("backends: [{libvirt: \(value)}]")
    #expect(told.count == 1)
    #expect(told.first?.hasPrefix(beginning) == true, "\(told)")
  }

  @Test(
    "a bad time-out says what is expected",
    arguments: [
      (
        "timeouts: {keepalive: {interval: 500ms}}",
        "f:1:34: timeouts.keepalive.interval must be from 1s to 1h, or 0 for no keepalive, not 500ms; such as 5s"
      ),
      (
        "timeouts: {keepalive: {interval: 2h}}",
        "f:1:34: timeouts.keepalive.interval must be from 1s to 1h, or 0 for no keepalive, not 2h; such as 5s"
      ),
      (
        "timeouts: {keepalive: {interval: 1500ms}}",
        "f:1:34: timeouts.keepalive.interval must be whole seconds, as in libvirt's qemu.conf, not 1500ms; such as 5s"
      ),
      (
        "timeouts: {keepalive: {interval: 5}}",
        #"f:1:34: timeouts.keepalive.interval: "5" has no unit; write it as Prometheus does, such as 5s, "#
      ),
      (
        "timeouts: {keepalive: {count: -1}}",
        #"f:1:31: timeouts.keepalive.count must be a whole number from 0 to 1000 without quotes, not "-1"; such as 5"#
      ),
      (
        "timeouts: {keepalive: {count: 1001}}",
        "f:1:31: timeouts.keepalive.count must be a whole number from 0 to 1000 "
      ),
      (
        "timeouts: {keepalive: {timeout: 30s}}",
        #"f:1:24: unknown key "timeout" in timeouts.keepalive; allowed here: count, interval"#
      ),
      (
        "backends: [{qemu: {sockets: [/x], timeouts: {keepalive: {count: 5}}}}]",
        #"f:1:46: unknown key "keepalive" in qemu.timeouts; a QEMU without libvirt has no keepalive; allowed here: "#
          + "completionPerGiB, progress"
      ),
      (
        "verdict: {controlSilence: 0}",
        "f:1:27: verdict.controlSilence must be from 1s to 1h, not 0; such as 7s"
      ),
      ("verdict: {dataSilence: 2d}", "f:1:24: verdict.dataSilence must be from 1s to 1h, not 2d; such as 5s"),
      (
        "backends:\n  - libvirt: {uri: 'qemu://a/system'}\n    qemu: {sockets: [/x]}",
        "f:2:5: an entry of backends is one back end; begin the next with a - of its own"
      ),
    ])
  func timeouts(text: String, beginning: String) {
    let told = errors(text)
    #expect(told.count == 1)
    #expect(told.first?.hasPrefix(beginning) == true, "\(told)")
  }

  @Test("two back ends share neither name nor URI")
  func unique() {
    #expect(
      errors(
        """
        backends:
          - libvirt: {name: a, uri: "qemu:///system"}
          - libvirt: {uri: "qemu:///session"}
          - libvirt: {name: b, uri: "qemu:///system"}
          - qemu: {name: a, sockets: [/x]}
        """) == [
          #"f:4:29: the URI "qemu:///system" is named twice, on lines 2 and 4; remove one"#,
          #"f:5:18: the name "a" is given to two back ends, on lines 2 and 5; rename one"#,
        ])
  }

  @Test("a flag is refused as the file's value is, and names itself")
  func flags() throws {
    let configuration = try Configuration.parse("backends: [{libvirt: {uri: 'qemu:///system'}}]", file: "f")
    for (uris, text) in [
      (["qemu:///system"], #""qemu:///system" is named twice; name it in the file or in one flag"#),
      (["test:///default", "test:///default"], #""test:///default" is named twice; "#),
      ([""], "a URI must be given, such as qemu:///system"),
      (["a"], #""a" is no URI; write qemu+ssh://a/system to go there by ssh"#),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try configuration.adding(libvirtURIs: uris) }
      #expect(error?.description.hasPrefix("--libvirt.uri: \(text)") == true, "\(error as Any)")
    }
  }

  @Test(
    "what is no URI brings what was probably meant",
    arguments: [
      ("host-a", "write qemu+ssh://host-a/system to go there by ssh"),
      ("root@host-a.example:2222", "write qemu+ssh://root@host-a.example:2222/system to go there by ssh"),
      ("host-a/system", "write qemu+ssh://host-a/system to go there by ssh"),
      ("10.0.0.1", "write qemu+ssh://10.0.0.1/system to go there by ssh"),
      ("2001:db8::1", "write qemu+ssh://[2001:db8::1]/system to go there by ssh"),
      ("[2001:db8::1]:22", "write qemu+ssh://[2001:db8::1]:22/system to go there by ssh"),
      (
        "/run/libvirt/libvirt-sock-ro",
        "write qemu:///system?socket=/run/libvirt/libvirt-sock-ro for a socket on this machine"
      ),
      ("qemu", "write qemu:///system for this machine"),
      ("session", "write qemu:///session for this machine"),
      ("qemu:/system", "write qemu:///system for this machine, or qemu+ssh://host/system"),
      ("://host/system", "write qemu:///system for this machine, or qemu+ssh://host/system"),
      ("qemu+ssh:", "write qemu:///system for this machine, or qemu+ssh://host/system"),
      (
        String(repeating: "a", count: 1000),
        "write qemu:///system for this machine, or qemu+ssh://host/system"
      ),
      ("qemu://system", "names a host; write qemu:///system for this machine"),
      ("qemu://session", "names a host; write qemu:///session for this machine"),
      (
        "qemuu:///system",
        #"names the driver "qemuu", and Drover watches hosts of QEMU only; write qemu:///system"#
      ),
      (
        "ch:///system",
        #"names the driver "ch", and Drover watches hosts of QEMU only; write qemu:///system, or qemu+ssh://host/system"#
      ),
      (
        "qemu+sshh://host/system",
        #"names the transport "sshh"; did you mean "ssh"? libvirt knows ext, libssh, libssh2, ssh, tcp, tls, unix"#
      ),
      (
        "qemu+://host/system",
        #"names the transport ""; libvirt knows ext, libssh, libssh2, ssh, tcp, tls, unix"#
      ),
      ("qemu:/// system", "has blanks or control characters in it; write a blank as %20"),
      ("qemu:///\u{85}", "has blanks or control characters in it; write a blank as %20"),
      ("a\nf:9:9: all is well", "has blanks or control characters in it; write a blank as %20"),
    ])
  func refusals(text: String, ending: String) throws {
    let refusal = try #require(LibvirtURI.refusal(of: text))
    #expect(refusal.hasSuffix(ending), "\(refusal)")
    #expect(refusal.hasPrefix("\""))
    #expect(!refusal.contains("\n"))
    #expect(refusal.count < 200)
  }

  @Test(
    "whatever libvirt may take is left to it",
    arguments: [
      "qemu:///system", "qemu:///session", "qemu+unix:///system?socket=/run/libvirt/libvirt-sock-ro",
      "qemu+ssh://root@host:22/system?keyfile=/k&no_tty=1", "qemu+tls://host/system?no_verify=1",
      "test:///default", "test+tcp://localhost:5000/default", "QEMU:///system",
      "qemu://[::1]/system", "qemu+TLS://host/system", "qemu+libssh2://host/system?known_hosts=/k",
      "qemu+libssh://host/system", "qemu+ext:///system?command=/usr/local/bin/reach",
    ])
  func taken(uri: String) { #expect(LibvirtURI.refusal(of: uri) == nil) }
}

@Suite("Configuration of control over libvirt hosts")
struct LibvirtControlConfigurationTests {
  private func parse(_ keys: String) throws -> Configuration {
    try Configuration.parse("backends: [{libvirt: {uri: 'qemu://a/system', \(keys)}}]", file: "f")
  }

  @Test("peers are URIs, or URIs with names; all of it reaches the back end, and is a file again")
  func peers() throws {
    let configuration = try parse(
      "controlURI: 'qemu+tcp://a/system', peers: ['qemu+tcp://b:1/system', {uri: 'qemu+tls://c/system'}, "
        + "{name: d, uri: 'qemu+tls://e/system', migrateURI: 'tcp://e-mig', checkURI: 'qemu:///system?socket=/e'}]"
    )
    guard case .libvirt(let host) = try #require(configuration.backends.first) else { return }
    let wired = LibvirtConfiguration(host, root: "/")
    #expect(wired.controlURI == "qemu+tcp://a/system")
    #expect(
      wired.peers == [
        LibvirtPeer(name: "b", uri: "qemu+tcp://b:1/system"),
        LibvirtPeer(name: "c", uri: "qemu+tls://c/system"),
        LibvirtPeer(
          name: "d", uri: "qemu+tls://e/system", migrateURI: "tcp://e-mig",
          checkURI: "qemu:///system?socket=/e"),
      ])
    let shown = EffectiveConfiguration(configuration).description
    #expect(shown.contains("controlURI: \"qemu+tcp://a/system\""))
    #expect(shown.contains("migrateURI: \"tcp://e-mig\""))
    #expect(try Configuration.parse(shown, file: "effective") == configuration)
    #expect(LibvirtConfiguration(name: host.name, uri: "qemu://a/system").peers.isEmpty)
  }

  @Test("nothing is needed: orders then go over the same URI, and nowhere")
  func defaults() throws {
    for keys in ["", "controlURI: '', peers: []", "peers: "] {
      guard case .libvirt(let host) = try #require(try parse(keys).backends.first) else { return }
      #expect(host.controlURI.isEmpty && host.peers.isEmpty)
    }
  }

  @Test(
    "a bad value says what is expected",
    arguments: [
      ("controlURI: x", "libvirt.controlURI: \"x\" is no URI; "),
      ("peers: x", "libvirt.peers must be a list, not \"x\"; "),
      ("peers: [x]", "an entry of libvirt.peers: \"x\" is no URI; "),
      ("peers: ['']", "an entry of libvirt.peers: a URI must be given"),
      (
        "peers: ['qemu:///system']",
        "an entry of libvirt.peers: \"qemu:///system\" names no host, and so the source itself; "
      ),
      ("peers: [{name: b}]", "an entry of libvirt.peers must have a uri; "),
      (
        "peers: [{uri: 'qemu://b/system', ur: x}]",
        "unknown key \"ur\" in an entry of libvirt.peers; did you mean \"uri\"? "
      ),
      ("peers: [{uri: 'qemu:///system'}]", "libvirt.peers.uri: \"qemu:///system\" names no host"),
      (
        "peers: [{uri: 'qemu://b/system', migrateURI: b}]",
        "libvirt.peers.migrateURI must be tcp://HOST or rdma://HOST, with :PORT if need be, not \"b\""
      ),
      ("peers: [{uri: 'qemu://b/system', checkURI: b}]", "libvirt.peers.checkURI: \"b\" is no URI; "),
      (
        "peers: ['qemu://b/system', {uri: 'qemu+tcp://b/system'}]",
        "two entries of libvirt.peers are called \"b\"; "
      ),
    ])
  func values(keys: String, beginning: String) {
    var told = ""
    do { _ = try parse(keys) } catch { told = "\(error)" }
    #expect(told.split(separator: ": ", maxSplits: 1).last?.hasPrefix(beginning) == true, "\(told)")
  }
}

@Suite("A changed configuration")
struct WatchesAlikeTests {
  private func backend(_ text: String) throws -> Configuration.Backend {
    try #require(try Configuration.parse("backends: [{\(text)}]", file: "f").backends.first)
  }

  @Test(
    "starts a back end anew where it watches otherwise, and not for a time-out",
    arguments: [
      ("libvirt: {uri: 'qemu://a/system'}", true),
      ("libvirt: {uri: 'qemu://a/system', timeouts: {completionPerGiB: 1s, progress: 1s}}", true),
      ("libvirt: {uri: 'qemu://a/system', timeouts: {keepalive: {interval: 1s}}}", false),
      ("libvirt: {uri: 'qemu://a/system', dirtyRate: true}", false),
      ("libvirt: {uri: 'qemu://a/system', host: b}", false),
      ("libvirt: {uri: 'qemu://a/system', controlURI: 'qemu+tcp://a/system'}", false),
      ("libvirt: {uri: 'qemu://a/system', peers: ['qemu+tcp://b/system']}", false),
      ("libvirt: {uri: 'qemu://a/system', name: b}", false),
      ("libvirt: {uri: 'qemu+tcp://a/system'}", false), ("qemu: {name: a, sockets: [/x]}", false),
    ])
  func alike(other: String, isAlike: Bool) throws {
    let first = try backend("libvirt: {uri: 'qemu://a/system'}")
    let second = try backend(other)
    #expect(first.watchesAlike(second) == isAlike)
    #expect(second.watchesAlike(first) == isAlike)
  }
}
