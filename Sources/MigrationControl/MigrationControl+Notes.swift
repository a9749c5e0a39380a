internal import DroverCore

extension MigrationControl {
  /// Most notes that are on their way at a time; the log and the journal have all of them.
  private static let mostNotes = 16

  /// Leaves a note at a VM that somebody may look at; nothing waits for it, and nothing depends on it.
  func leave(_ note: ControlNote, at vm: VMRef?) {
    guard let vm, let backend = backend(vm.backend) else { return }
    let isFree = withState { state in
      guard state.notes < Self.mostNotes else { return false }
      state.notes += 1
      return true
    }
    guard isFree else { return }
    Task { [self] in
      await backend.tell(note, of: vm)
      withState { $0.notes -= 1 }
    }
  }

  /// Notes what others may want to know of a decision: an abort that was refused where no person waits for the answer.
  func leaveNote(of decision: Decision) {
    guard decision.action == .abort, decision.kind == .refused, decision.trigger != .person else { return }
    leave(
      ControlNote(
        .abortRefused, "not ended (\(decision.trigger.rawValue), \(decision.requester)): \(decision.text)"),
      at: decision.vm)
  }
}
