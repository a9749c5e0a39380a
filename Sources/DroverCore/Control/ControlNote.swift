/// Something that Drover did about a VM, for whoever looks at the VM instead of at Drover.
public struct ControlNote: Hashable, Sendable {
  /// What it was; in Kubernetes the event's reason.
  public enum Kind: String, CaseIterable, Sendable {
    /// The end of its migration was asked for.
    case abortSent = "DroverAbortSent"
    /// Its migration was to be ended by itself, and was not.
    case abortRefused = "DroverAbortRefused"
    /// A drain leaves it where it is.
    case drainParked = "DroverDrainParked"
  }

  /// What it was.
  public var kind: Kind
  /// The same in words, with who wanted it and why.
  public var text: String

  /// Whether somebody should look at it.
  public var isWarning: Bool { kind != .abortSent }

  /// Makes a note.
  public init(_ kind: Kind, _ text: String) {
    self.kind = kind
    self.text = text
  }
}

extension ControllableBackend {
  /// Nobody looks at VMs here but through Drover.
  public func tell(_ note: ControlNote, of vm: VMRef) async {}
}
