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
    // An id and a VM's bare name look alike.
    let past =
      MigrationID(typed) == nil
      ? "those that are over for longer: drover history --vm \(typed)"
      : "those that are over for longer: drover history --migration \(typed), or --vm \(typed) for a VM's"
    return "\(what) is called \(typed); \(shown); \(past)"
  }
}
