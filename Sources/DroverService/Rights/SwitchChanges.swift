extension ControlSwitch {
  /// Which switches differ between two configurations: `policies shadow -> enabled`; empty where none does.
  static func changes(
    from old: [ControlSwitch: SwitchState], to new: [ControlSwitch: SwitchState]
  ) -> String {
    allCases.compactMap { name in
      let (before, after) = (old[name] ?? .disabled, new[name] ?? .disabled)
      return before == after ? nil : "\(name.rawValue) \(before.rawValue) -> \(after.rawValue)"
    }.joined(separator: ", ")
  }
}
