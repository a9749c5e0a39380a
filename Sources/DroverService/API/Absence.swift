internal import DroverCore

/// What is said where nothing has the name that somebody typed.
///
/// An alert or a chat names migrations that are shown no longer: the journal has them.
enum Absence {
  /// - Parameters:
  ///   - what: What was looked for: `no migration`.
  ///   - shown: Where one finds such.
  static func words(
    _ typed: String, _ what: String = "no migration", shown: String = "drover list shows them"
  ) -> String {
    let past =
      MigrationID(typed) == nil
      ? "drover history tells of those of the past"
      : "one that is over for longer: drover history --migration \(typed), and drover decisions --migration \(typed)"
    return "\(what) is called \(typed); \(shown); \(past)"
  }
}
