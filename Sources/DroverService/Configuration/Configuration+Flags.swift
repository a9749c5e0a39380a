internal import DroverCore
internal import QEMUBackend

/// Back ends that are given by flag.
extension Configuration {
  /// This configuration with one back end more for each QMP socket given by flag.
  ///
  /// - Throws: A path that is empty, or that the file or an earlier flag also names: a monitor takes one client.
  public func adding(qemuSockets: [String]) throws(ConfigurationError) -> Configuration {
    var result = self
    for path in qemuSockets {
      let known = result.backends.flatMap(\.sockets)
      guard !path.isEmpty, !path.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
      else {
        throw ConfigurationError(
          .invalid, file: "--qemu.socket", "a path must be given, such as /run/guest.qmp")
      }
      guard !known.contains(path) else {
        throw ConfigurationError(
          .invalid, file: "--qemu.socket",
          "\(quoted(path)) is named twice, and a monitor takes one client; name it in the file or in one flag"
        )
      }
      if let refusal = QEMUConfiguration.refusal(ofSocket: path) {
        throw ConfigurationError(.invalid, file: "--qemu.socket", "\(refusal)")
      }
      result.backends.append(.qemu(QEMU(sockets: [path], timeouts: timeouts)))
    }
    Backend.giveNames(to: &result.backends)
    return result
  }

  /// This configuration with one back end more for each libvirt URI given by flag.
  ///
  /// - Throws: A text that is no URI, or one that the file or an earlier flag also names.
  public func adding(libvirtURIs: [String]) throws(ConfigurationError) -> Configuration {
    var result = self
    for uri in libvirtURIs {
      if let refusal = LibvirtURI.refusal(of: uri) {
        throw ConfigurationError(.invalid, file: "--libvirt.uri", refusal)
      }
      guard !result.backends.contains(where: { $0.uri == uri }) else {
        throw ConfigurationError(
          .invalid, file: "--libvirt.uri", "\(quoted(uri)) is named twice; name it in the file or in one flag"
        )
      }
      result.backends.append(.libvirt(Libvirt(uri: uri, timeouts: timeouts, keepalive: keepalive)))
    }
    Backend.giveNames(to: &result.backends)
    return result
  }

  /// This configuration with one back end more for each kubeconfig given by flag, in its current context.
  ///
  /// - Throws: A path that is empty, or a cluster that the file or an earlier flag also names.
  public func adding(kubeconfigs: [String]) throws(ConfigurationError) -> Configuration {
    var result = self
    for path in kubeconfigs {
      if let refusal = KubeconfigPath.refusal(of: path) {
        throw ConfigurationError(.invalid, file: "--kubevirt.kubeconfig", refusal)
      }
      try result.add(KubeVirt.Cluster(kubeconfig: path), flag: "--kubevirt.kubeconfig")
    }
    return result
  }

  /// This configuration with one back end more for the cluster that Drover runs in, where the flag for that is given.
  ///
  /// - Parameter environment: The process's variables: they tell whether it runs in a cluster.
  /// - Throws: A process outside a cluster; a file that names the same.
  public func adding(
    ownCluster isAsked: Bool, environment: [String: String]
  ) throws(ConfigurationError) -> Configuration {
    guard isAsked else { return self }
    guard environment["KUBERNETES_SERVICE_HOST", default: ""].isEmpty == false else {
      throw ConfigurationError(
        .invalid, file: "--kubevirt.in-cluster",
        "this is no pod: KUBERNETES_SERVICE_HOST is not set; give --kubevirt.kubeconfig FILE instead")
    }
    var result = self
    try result.add(KubeVirt.Cluster(), flag: "--kubevirt.in-cluster")
    return result
  }

  /// This configuration with the journal where the flag says.
  ///
  /// - Throws: What is no absolute path.
  public func adding(journalPath: String?) throws(ConfigurationError) -> Configuration {
    guard let journalPath else { return self }
    if let refusal = JournalPlace.refusal(of: journalPath) {
      throw ConfigurationError(.invalid, file: "--journal.path", refusal)
    }
    var result = self
    result.journalPath = journalPath
    return result
  }

  private mutating func add(_ cluster: KubeVirt.Cluster, flag: String) throws(ConfigurationError) {
    guard !backends.contains(where: { $0.cluster == cluster }) else {
      throw ConfigurationError(
        .invalid, file: flag, "\(cluster) is named twice; name it in the file or in one flag")
    }
    backends.append(.kubevirt(KubeVirt(cluster: cluster, timeouts: timeouts, keepalive: keepalive)))
    Backend.giveNames(to: &backends)
  }
}
