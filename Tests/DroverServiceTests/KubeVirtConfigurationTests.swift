import DroverCore
import KubeVirtBackend
import Testing

@testable import DroverService

@Suite("Configuration of clusters")
struct KubeVirtConfigurationTests {
  private func clusters(_ text: String) throws -> [Configuration.KubeVirt] {
    try Configuration.parse(text, file: "f").backends.compactMap { backend in
      if case .kubevirt(let kubevirt) = backend { kubevirt } else { nil }
    }
  }

  private static let inPod = ["KUBERNETES_SERVICE_HOST": "10.43.0.1"]

  @Test(
    "nothing is needed: the cluster that Drover runs in", arguments: ["{}", "", "~", "{kubeconfig: \"\"}"])
  func defaults(value: String) throws {
    let cluster = try #require(try clusters("backends: [{kubevirt: \(value)}]").first)
    #expect(
      cluster == Configuration.KubeVirt(name: BackendName(rawValue: "kubevirt"), timeouts: BudgetSettings()))
    let backend = KubeVirtConfiguration(cluster)
    #expect(backend.access == .inCluster && backend.namespaces.isEmpty && backend.counters == .direct)
    #expect(backend.keepalive == KeepaliveSettings() && backend.budget == BudgetSettings())
  }

  @Test("all of it reaches the back end")
  func wiring() throws {
    let all = try clusters(
      """
      backends:
        - kubevirt: {name: prod, kubeconfig: /etc/drover/k, context: admin@prod, namespaces: [shop, web-2],
                     virtHandler: prometheus,
                     prometheus: {url: "https://p.example:9090/prom", tokenFile: /t, caFile: /c},
                     timeouts: {completionPerGiB: 150s, progress: 60s, keepalive: {interval: 3s, count: 4}}}
        - kubevirt: {kubeconfig: /etc/drover/k, virtHandler: apiserver-proxy}
        - kubevirt: {kubeconfig: /etc/drover/l, virtHandler: none}
      """)
    try #require(all.count == 3)
    let backends = all.map { KubeVirtConfiguration($0) }
    #expect(backends.map(\.name.rawValue) == ["prod", "kubevirt", "kubevirt-2"])
    #expect(
      backends.map(\.access) == [
        .kubeconfig(path: "/etc/drover/k", context: "admin@prod"),
        .kubeconfig(path: "/etc/drover/k", context: nil), .kubeconfig(path: "/etc/drover/l", context: nil),
      ])
    #expect(backends[0].namespaces == ["shop", "web-2"])
    #expect(
      backends.map(\.counters) == [
        .prometheus(
          KubeVirtConfiguration.PrometheusServer(
            url: "https://p.example:9090/prom", tokenFile: "/t", caFile: "/c")), .apiServerProxy, .none,
      ])
    #expect(backends[0].budget == BudgetSettings(completionPerGiB: .seconds(150), progress: .seconds(60)))
    #expect(backends[0].keepalive == KeepaliveSettings(interval: .seconds(3), count: 4))
    #expect(backends[1].keepalive == KeepaliveSettings())
  }

  @Test("what is in force is shown, and is a file again")
  func effective() throws {
    let configuration = try Configuration.parse(
      """
      backends:
        - kubevirt: {namespaces: [shop]}
        - kubevirt: {kubeconfig: /k, context: c, virtHandler: prometheus, prometheus: {url: "http://p"},
                     lease: {namespace: drover},
                     timeouts: {keepalive: {count: 3}}}
        - kubevirt: {kubeconfig: /k, virtHandler: none}
      """, file: "f")
    let shown = EffectiveConfiguration(configuration)
    #expect(
      shown.description.hasPrefix(
        """
        backends:
          - kubevirt:
              name: "kubevirt"
              # kubeconfig: none: the service account of the pod that Drover runs in
              # context: the current one of the kubeconfig
              namespaces:
                - "shop"
              virtHandler: "direct"
              # prometheus: none is asked
              # lease: none: this Drover is alone
              timeouts:
                completionPerGiB: 800s
                progress: 150s
                # keepalive: libvirt's own figures, 5s and 5
          - kubevirt:
              name: "kubevirt-2"
              kubeconfig: "/k"
              context: "c"
              namespaces: []
              virtHandler: "prometheus"
              prometheus:
                url: "http://p"
                tokenFile: ""
                caFile: ""
              lease:
                namespace: "drover"
                name: "drover"
              timeouts:
                completionPerGiB: 800s
                progress: 150s
                keepalive:
                  interval: 5s
                  count: 3
          - kubevirt:

        """), "\(shown.description)")
    #expect(try Configuration.parse(shown.description, file: "effective") == configuration)
    let json = String(decoding: try APICoding.encode(shown), as: UTF8.self)
    #expect(try Configuration.parse(json, file: "json") == configuration)
  }

  @Test(
    "a bad value says what is expected",
    arguments: [
      (
        "{kubeconfig: []}",
        "f:1:36: kubevirt.kubeconfig must be a text, not a list; such as /etc/drover/kubeconfig"
      ),
      (
        "{kubeconfig: ~/.kube/config}",
        #"f:1:36: kubevirt.kubeconfig: "~/.kube/config": ~ is a shell's; write the path out"#
      ),
      ("{kubeconfig: /k, context: no}", #"f:1:49: kubevirt.context: YAML reads no as a boolean; "#),
      (
        "{context: prod}",
        "f:1:33: kubevirt.context names a context of a kubeconfig; give that, too, in kubevirt.kubeconfig"
      ),
      ("{namespaces: shop}", #"f:1:36: kubevirt.namespaces must be a list, not "shop"; such as [shop, web]"#),
      (
        "{namespaces: [Shop]}",
        #"f:1:37: "Shop" is no namespace: up to 63 of a-z 0-9 -, beginning and ending with a letter or digit; "#
      ),
      ("{namespaces: ['-a']}", #"f:1:37: "-a" is no namespace: "#),
      ("{namespaces: [\"\"]}", #"f:1:37: "" is no namespace: "#),
      (
        "{namespaces: [a, b, a]}",
        #"f:1:43: the namespace "a" is named twice, on lines 1 and 1; remove one"#
      ),
      (
        "{virtHandler: proxy}",
        #"f:1:37: kubevirt.virtHandler must be one of direct, prometheus, apiserver-proxy, none, not "proxy""#
      ),
      (
        "{virtHandler: prometheus}",
        "f:1:37: kubevirt.prometheus.url must be given with virtHandler: prometheus; such as url: http://prometheus:9090"
      ),
      (
        "{virtHandler: prometheus, prometheus: {tokenFile: /t}}",
        "f:1:61: kubevirt.prometheus.url must be given with virtHandler: prometheus; "
      ),
      (
        "{prometheus: {url: http://p}}",
        "f:1:36: kubevirt.prometheus is asked with virtHandler: prometheus only; give that, or remove it"
      ),
      (
        "{virtHandler: prometheus, prometheus: {url: 'p:9090'}}",
        #"f:1:67: kubevirt.prometheus.url: "p:9090" is no http or https address of a host; such as http://prometheus:9090"#
      ),
      (
        "{virtHandler: prometheus, prometheus: {url: 'http://p', tokenFile: '~/t'}}",
        #"f:1:90: kubevirt.prometheus.tokenFile: "~/t": ~ is a shell's; write the path out"#
      ),
      (
        "{virtHandler: prometheus, prometheus: {url: 'http://p', token: x}}",
        #"f:1:79: unknown key "token" in kubevirt.prometheus; name the file that holds it in tokenFile; allowed here: caFile, tokenFile, url"#
      ),
      (
        "{lease: {name: drover}}",
        "f:1:31: kubevirt.lease.namespace must be given; such as namespace: drover"
      ),
      (
        "{lease: {namespace: Drover_1}}",
        #"f:1:43: kubevirt.lease.namespace: "Drover_1" is no namespace"#
      ),
      (
        "{uri: x}",
        #"f:1:24: unknown key "uri" in kubevirt; allowed here: context, kubeconfig, lease, name, namespaces, "#
      ),
      (
        "{timeouts: {keepalive: {interval: 500ms}}}",
        "f:1:57: kubevirt.timeouts.keepalive.interval must be from 1s to 1h, or 0 for no keepalive, not 500ms; "
      ),
    ])
  func values(value: String, beginning: String) {
    let told = errors("backends: [{kubevirt: \(value)}]")
    #expect(told.count == 1)
    #expect(told.first?.hasPrefix(beginning) == true, "\(told)")
  }

  @Test(
    "an address of a Prometheus is one that a path can be added to",
    arguments: [
      "http://", "https:///x", "ftp://p", "http://u:p@p", "http://p?x=1", "http://p#x", "http://p q",
      "http://p/ä", "HTTP://p", "",
    ])
  func addresses(url: String) {
    let told = errors(
      "backends: [{kubevirt: {virtHandler: prometheus, prometheus: {url: \"\(url)\"}}}]")
    #expect(told.count == 1 && told.first?.contains("kubevirt.prometheus.url") == true, "\(told)")
  }

  @Test("a cluster is watched once, with one context or several")
  func unique() {
    #expect(
      errors(
        """
        backends:
          - kubevirt: {name: a, kubeconfig: /k}
          - kubevirt: {name: b, kubeconfig: /k, context: x}
          - kubevirt: {name: c, kubeconfig: /k, namespaces: [shop]}
          - kubevirt: {name: d, kubeconfig: /k, context: x}
          - kubevirt: {name: e}
          - kubevirt: {name: f}
          - kubevirt: {name: a, kubeconfig: /l}
        """) == [
          #"f:4:37: the kubeconfig "/k" is named twice, on lines 2 and 4; remove one"#,
          #"f:5:37: the kubeconfig "/k" with the context "x" is named twice, on lines 3 and 5; remove one"#,
          "f:7:15: the cluster that Drover runs in is named twice, on lines 6 and 7; remove one",
          #"f:8:22: the name "a" is given to two back ends, on lines 2 and 8; rename one"#,
        ])
  }

  @Test("flags add clusters, with the file's time-outs")
  func flags() throws {
    let configuration = try Configuration.parse(
      """
      backends: [{kubevirt: {kubeconfig: /k}}]
      timeouts: {completionPerGiB: 150s, keepalive: {interval: 2s}}
      """, file: "f"
    ).adding(kubeconfigs: ["/l", "m"]).adding(ownCluster: true, environment: Self.inPod)
    #expect(
      configuration.backends.map(\.name.rawValue) == ["kubevirt", "kubevirt-2", "kubevirt-3", "kubevirt-4"])
    #expect(configuration.backends.map(\.cluster?.kubeconfig) == ["/k", "/l", "m", ""])
    guard case .kubevirt(let last) = try #require(configuration.backends.last) else { return }
    #expect(last.timeouts.completionPerGiB == .seconds(150))
    #expect(last.keepalive == KeepaliveSettings(interval: .seconds(2), count: 5))
    #expect(try Configuration().adding(ownCluster: false, environment: [:]).backends.isEmpty)
  }

  @Test("a flag is refused as the file's value is, and names itself")
  func badFlags() throws {
    let configuration = try Configuration.parse(
      "backends: [{kubevirt: {kubeconfig: /k}}, {kubevirt: {}}]", file: "f")
    for (paths, text) in [
      (["/k"], #"the kubeconfig "/k" is named twice; name it in the file or in one flag"#),
      (["/l", "/l"], #"the kubeconfig "/l" is named twice; "#),
      ([""], "a path must be given, such as /etc/drover/kubeconfig"),
      (["~/k"], #""~/k": ~ is a shell's; write the path out"#),
    ] {
      let error = #expect(throws: ConfigurationError.self) { try configuration.adding(kubeconfigs: paths) }
      #expect(error?.description.hasPrefix("--kubevirt.kubeconfig: \(text)") == true, "\(error as Any)")
    }
    let twice = #expect(throws: ConfigurationError.self) {
      try configuration.adding(ownCluster: true, environment: Self.inPod)
    }
    #expect(
      twice?.description
        == "--kubevirt.in-cluster: the cluster that Drover runs in is named twice; name it in the file or in one flag"
    )
    for environment in [[:], ["KUBERNETES_SERVICE_HOST": ""]] {
      let outside = #expect(throws: ConfigurationError.self) {
        try Configuration().adding(ownCluster: true, environment: environment)
      }
      #expect(
        outside?.description
          == "--kubevirt.in-cluster: this is no pod: KUBERNETES_SERVICE_HOST is not set; "
          + "give --kubevirt.kubeconfig FILE instead")
    }
  }

  @Test("other documented figures need no restart; anything else does")
  func restart() throws {
    func backend(_ value: String) throws -> Configuration.Backend {
      try #require(try Configuration.parse("backends: [{kubevirt: \(value)}]", file: "f").backends.first)
    }
    let first = try backend("{kubeconfig: /k}")
    #expect(first.watchesAlike(try backend("{kubeconfig: /k, timeouts: {completionPerGiB: 1s}}")))
    for other in [
      "{kubeconfig: /l}", "{kubeconfig: /k, context: c}", "{kubeconfig: /k, namespaces: [a]}",
      "{kubeconfig: /k, virtHandler: none}", "{kubeconfig: /k, timeouts: {keepalive: {count: 1}}}",
      "{kubeconfig: /k, name: a}",
    ] {
      #expect(!first.watchesAlike(try backend(other)), "\(other)")
    }
    let qemu = try #require(
      try Configuration.parse("backends: [{qemu: {sockets: [/x]}}]", file: "f").backends.first)
    #expect(!first.watchesAlike(qemu) && !qemu.watchesAlike(first))
  }
}
