internal import DroverCore

extension ControlError {
  /// What libvirt complained of.
  init(_ error: LibvirtError) {
    let cause = "\(error.message) (libvirt error \(error.code.rawValue))"
    func made(_ kind: Kind, _ remedy: String) -> ControlError {
      // What asks only changes nothing; whoever sends says so itself.
      ControlError(kind, call: error.call, cause: cause, remedy: remedy, mayBeDone: false)
    }
    switch error.kind {
    case .denied:
      self = made(
        .denied,
        "let the user that Drover runs as use libvirt's read-write socket, or name another way with libvirt.controlURI"
      )
    case .timeout:
      self = made(.timeout, "its QEMU does not answer its monitor, or another client waits for it: try again")
    case .lost:
      self = made(.unreachable, "check that libvirtd or virtqemud runs there; look before trying again")
    case .connect, .call, .sockets:
      if error.call == "virConnectOpen" {
        self = made(
          .unreachable,
          error.remedyOfURI
            ?? "check that libvirtd or virtqemud runs there, and that Drover may reach its socket")
      } else if error.code == .noDomain {
        self = made(.gone, "look where it runs now")
      } else if error.code == .noSupport {
        self = made(.unsupported, "this driver of libvirt has no migrations")
      } else {
        self = made(.refused, "mend what libvirt names")
      }
    }
  }

  /// Nobody waits any more.
  ///
  /// - Parameters:
  ///   - call: What was to be done.
  ///   - sent: What cannot be known where it is being sent.
  init(_ failure: ErrandFailure, call: String, sent: String = "it may have been done all the same") {
    switch failure {
    case .noThread:
      self.init(
        .other, call: call, cause: "the system gives no thread", remedy: "raise its limit; nothing was sent")
    case .late(.opening):
      self.init(
        .unreachable, call: call, cause: "libvirt does not let Drover in",
        remedy: "check that its daemon answers; nothing was sent")
    case .late(.asking):
      self.init(
        .timeout, call: call,
        cause: "the domain cannot be asked: its QEMU hangs, or another client waits for it",
        remedy: "see whether it answers virsh domjobinfo; nothing was sent", mayBeDone: false)
    case .late(.sending):
      self.init(
        .timeout, call: call, cause: "libvirt has not answered in time; \(sent)",
        remedy: "look how it is before trying again")
    }
  }
}
