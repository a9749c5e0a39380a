internal import DroverCore
internal import KubeVirtBackend
internal import Synchronization

extension Configuration {
  /// What is wrong with the files that hold tokens, and with kubeconfigs: a rule for a token that cannot be read grants
  /// nothing, and a back end without its kubeconfig is down.
  public var findingsInFiles: [String] {
    let findings = Mutex<[String]>([])
    let files = TokenFiles { finding in
      findings.withLock { findings in
        switch finding {
        case .error(let text), .warning(let text): findings.append(text)
        }
      }
    }
    files.follow(
      access.compactMap { rule in if case .tokenFile(let file) = rule.subject { file } else { nil } })
    return findings.withLock { $0.sorted() } + unusableKubeconfigs
  }

  private var unusableKubeconfigs: [String] {
    backends.compactMap { backend in
      guard case .kubevirt(let kubevirt) = backend, !kubevirt.cluster.kubeconfig.isEmpty else { return nil }
      return KubeVirtConfiguration(kubevirt).access.problem(environment: [:])
        .map { "the back end \(kubevirt.name.rawValue) would be down: \($0)" }
    }
  }
}
