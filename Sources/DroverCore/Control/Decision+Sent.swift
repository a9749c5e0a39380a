extension Decision {
  /// By these words the result of an abort tells that it was surely not sent, or surely had no effect.
  private static let unsentWords = ["not sent", "not ended"]
  /// By these words whoever asks is a drain; rules and alerts ask by others.
  private static let drainWords = "the drain of "

  /// Whether it was recorded as acted upon, and the migration surely was not ended by it.
  public var isUnsent: Bool {
    result == .error && Self.unsentWords.contains { resultText.contains($0) }
  }

  /// Whether a drain asked for it: that has bounds of its own.
  public var isOfDrain: Bool { requester.hasPrefix(Self.drainWords) }
}
