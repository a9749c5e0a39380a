internal import Synchronization

extension Configuration {
  /// What is wrong with the files that hold tokens, and those that only Prometheus is shown: a rule for a token that
  /// cannot be read grants nothing.
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
    return findings.withLock { $0.sorted() }
  }
}
