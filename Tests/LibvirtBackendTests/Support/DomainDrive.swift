import DroverCore
import Logging
import Testing

@testable import LibvirtBackend

/// Something that a domain's watch is given at a moment, in ms.
enum Step: Sendable {
  case event(Int64, HostEvent)
  case lifecycle(Int64, Int32, Int32)
  case look(Int64, Result<JobStatistics, LibvirtError>, Result<DomainState, LibvirtError>)
  /// A look that began long before it ended.
  case slowLook(Int64, begun: Int64, Result<JobStatistics, LibvirtError>, Result<DomainState, LibvirtError>)
  /// A look at a domain that has gone, with the figures that the host keeps.
  case kept(Int64, JobStatistics)
  /// What a list shows.
  case listed(Int64, DomainState)
  /// The end is inferred from the connections.
  case conclude(Int64, EndEvidence?)

  static func copying(_ at: Int64, since start: Int64 = 0, _ state: DomainState = .running) -> Step {
    .look(at, .success(.copying(at - start)), .success(state))
  }

  static func idle(_ at: Int64, _ state: DomainState = .running) -> Step {
    .look(at, .success(.idle), .success(state))
  }
}

/// One domain's watch, and what it said.
struct DomainDrive {
  var watch: DomainWatch
  var messages: [BackendMessage] = []
  var looksWanted = 0

  init(_ state: DomainState = .running, isNew: Bool = false) {
    watch = DomainWatch(
      named(), state: state, backend: lab, host: "host-a", samplingInterval: .milliseconds(500))
    guard !isNew else { return }
    var notes: [DomainWatch.Note] = []
    watch.show(into: &notes)
  }

  mutating func take(_ step: Step) {
    var notes: [DomainWatch.Note] = []
    switch step {
    case .event(let at, let event): notes = watch.hear(event, at: ms(at), epoch: epoch)
    case .lifecycle(let at, let event, let detail):
      notes = watch.hear(.lifecycle(Lifecycle(event: event, detail: detail)), at: ms(at), epoch: epoch)
    case .look(let at, let job, let state):
      notes = watch.take(DomainLook(at: at, job: job, state), epoch: epoch)
    case .slowLook(let at, let begun, let job, let state):
      notes = watch.take(DomainLook(at: at, begun: begun, job: job, state), epoch: epoch)
    case .kept(let at, let figures):
      var look = DomainLook(at: at, job: .failure(.notRunning), .success(.shutOff(.migrated)))
      look.completed = figures
      notes = watch.take(look, epoch: epoch)
    case .listed(let at, let state):
      if !watch.isBusy { watch.enter(state, at: ms(at), into: &notes) }
      watch.show(into: &notes)
    case .conclude(let at, let evidence): watch.conclude(evidence, at: ms(at), into: &notes)
    }
    for note in notes {
      switch note {
      case .tell(let message): messages.append(message)
      case .look: looksWanted += 1
      case .log: break
      }
    }
  }

  mutating func take(_ steps: [Step]) { for step in steps { take(step) } }
}

/// What happens to a domain, and what is told of it.
struct Story: Sendable, CustomTestStringConvertible {
  var testDescription: String
  var state = DomainState.running
  var steps: [Step]
  var told: [String]

  init(_ name: String, from state: DomainState = .running, _ steps: [Step], _ told: [String]) {
    testDescription = name
    self.state = state
    self.steps = steps
    self.told = told
  }

  func tell() -> DomainDrive {
    var drive = DomainDrive(state)
    drive.take(steps)
    return drive
  }
}
