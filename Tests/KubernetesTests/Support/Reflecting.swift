import Foundation
import Kubernetes
import Synchronization
import Testing

/// What a reflector told, in words; signs of life apart.
final class Told: Sendable {
  private let state = Mutex((words: [String](), fresh: 0, isClosed: false))

  var words: [String] { state.withLock { $0.words } }
  var fresh: Int { state.withLock { $0.fresh } }

  func take(_ event: ReflectorEvent<Thing>) {
    let word: String? =
      switch event {
      case .object(let object, let isInitial):
        "\(isInitial ? "initial" : "object") \(object.metadata.key) \(object.metadata.resourceVersion)"
      case .gone(let key, let last): "gone \(key) \(last?.metadata.resourceVersion ?? "unseen")"
      case .synced(_, let isFirst): isFirst ? "synced first" : "synced"
      case .malformed(let key, let problem): "malformed \(key?.description ?? problem)"
      case .failed(let error, let pause): "failed \(error.shortDescription) \(pause.components.seconds)"
      case .fresh, .listing: nil
      }
    state.withLock { state in
      if let word { state.words.append(word) } else { state.fresh += 1 }
    }
  }
}

/// Runs a reflector against a script until something holds, and says what it told.
func reflect(
  _ script: @escaping @Sendable (Ask) -> Reply, _ path: ResourcePath = things.all,
  _ selection: ListSelection = ListSelection(), time: TestTime = TestTime(),
  until condition: @escaping @Sendable (Told, ScriptedServer) -> Bool
) async throws -> (told: [String], asks: [Ask]) {
  let told = Told()
  var asks: [Ask] = []
  try await withServer(time: time, script) { client, server in
    let reflector = Reflector<Thing>(client, path, selection)
    let run = Task { await reflector.run { told.take($0) } }
    let deadline = ContinuousClock.now + .seconds(30)
    while !condition(told, server), ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(2))
    }
    if !condition(told, server) { Issue.record("never came to that: \(told.words)") }
    asks = server.asks
    run.cancel()
    await run.value
  }
  return (told.words, asks)
}

/// A script by its lists and watches, each in their order; what is past the end is a watch without events.
func script(lists: [Reply], watches: [Reply]) -> @Sendable (Ask) -> Reply {
  let counts = Counts()
  return { ask in
    let number = counts.next(isWatch: ask.isWatch)
    let replies = ask.isWatch ? watches : lists
    return number < replies.count ? replies[number] : .stream([])
  }
}

private final class Counts: Sendable {
  private let numbers = Mutex((lists: 0, watches: 0))

  func next(isWatch: Bool) -> Int {
    numbers.withLock { numbers in
      if isWatch {
        numbers.watches += 1
        return numbers.watches - 1
      }
      numbers.lists += 1
      return numbers.lists - 1
    }
  }
}
