/// The answer to `GET /api/v1/why/...`: one screen for whoever was woken.
public struct WhyItem: Codable, Hashable, Sendable {
  /// `migration`, `vm` or `node`.
  public var kind: String
  /// What it is called.
  public var name: String
  /// What is happening, and since when.
  public var now: [String]
  /// Which limits come next, the nearest first.
  public var next: [Limit]
  /// What has been decided about it, the newest first.
  public var decided: [String]
  /// What one can do.
  public var possible: [Option]
  /// What one cannot do.
  public var impossible: [Option]

  /// A limit that comes.
  public struct Limit: Codable, Hashable, Sendable {
    /// `completion`, `progress` or `keepalive`; `rule` and its name for what a rule waits for besides.
    public var name: String
    /// When, at the earliest.
    public var at: Timestamp
    /// The same from now; below 0 where it has passed.
    public var inSeconds: Double
    /// What happens then; with `held: ` before it, why nothing does, and until when.
    public var then: String
    /// The VM; only where several are told of.
    public var vm: String?
  }

  /// A command, and what it does or why it does not.
  public struct Option: Codable, Hashable, Sendable {
    /// What one would type.
    public var command: String
    /// What it does, or why not.
    public var text: String
  }
}
