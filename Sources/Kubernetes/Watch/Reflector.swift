internal import CurlClient
internal import FoundationEssentials

/// Follows all objects of one kind: a list, then a watch, for as long as it runs.
///
/// It remembers which objects it told, never the objects.
public struct Reflector<Object: KubernetesObject>: Sendable {
  private let client: KubernetesClient
  private let path: ResourcePath
  private let selection: ListSelection

  /// Makes a reflector of a collection; nothing is asked before it runs.
  public init(_ client: KubernetesClient, _ path: ResourcePath, _ selection: ListSelection = ListSelection())
  {
    self.client = client
    self.path = path
    self.selection = selection
  }

  /// Follows the objects until the task is cancelled or the client is shut down.
  ///
  /// The order is the server's; the next event is told when `sink` has returned, and while it does not, the server
  /// waits. Objects are decoded where nobody else's work is held up.
  @concurrent public func run(telling sink: @Sendable (ReflectorEvent<Object>) async -> Void) async {
    var run = ReflectorRun<Object>(client: client, path: path, selection: selection)
    while !Task.isCancelled, let pause = await run.step(sink) {
      if pause > .zero, (try? await client.timing.sleep(pause)) == nil { return }
    }
  }
}

/// One run of a reflector, step by step.
private struct ReflectorRun<Object: KubernetesObject> {
  typealias Sink = @Sendable (ReflectorEvent<Object>) async -> Void

  let client: KubernetesClient
  let path: ResourcePath
  let selection: ListSelection
  private var plan = ReflectorPlan()
  private var known = KnownObjects()
  /// When the present watch was answered.
  private var watchBegan: Date?

  init(client: KubernetesClient, path: ResourcePath, selection: ListSelection) {
    self.client = client
    self.path = path
    self.selection = selection
  }

  /// Does one list, or one watch.
  ///
  /// - Returns: How long to wait before the next step; nil when there is none.
  mutating func step(_ sink: Sink) async -> Duration? {
    let stage = plan.version == nil ? ReflectorPlan.Stage.list : .watch
    watchBegan = nil
    do throws(KubernetesError) {
      guard let version = plan.version else {
        try await list(sink)
        return .zero
      }
      try await watch(from: version, sink)
      await sink(.fresh)
      return plan.watchEnded(after: watchLength, random: client.timing.random()) ?? .zero
    } catch {
      guard error.kind != .cancelled else { return nil }
      let pause = plan.failed(error, in: stage, after: watchLength, random: client.timing.random())
      await sink(pause.isTold ? .failed(error, retryIn: pause.length) : .fresh)
      return pause.length
    }
  }

  private var watchLength: Double { watchBegan.map { client.timing.now().timeIntervalSince($0) } ?? 0 }

  private mutating func list(_ sink: Sink) async throws(KubernetesError) {
    var request = ListRequest(
      path: path, selection: selection, resourceVersion: plan.listVersion, limit: plan.isPaged ? 500 : nil)
    known.begin()
    await sink(.listing)
    while true {
      let (rest, serverTime) = try await client.readPage(request) { (objects: [ReadObject<Object>]) in
        if objects.isEmpty { await sink(.fresh) }
        for object in objects { await changed(object, sink) }
      }
      if let next = rest.continue, !next.isEmpty {
        request.next = next
        continue
      }
      guard let version = rest.resourceVersion, !version.isEmpty else {
        throw .decoding(call: request.request.call, problem: "the list has no resourceVersion")
      }
      for key in known.takeUnseen() { await sink(.gone(key: key, last: nil)) }
      await sink(.synced(serverTime: serverTime, isFirst: plan.isFirst))
      plan.listed(version: version)
      return
    }
  }

  private mutating func watch(from version: String, _ sink: Sink) async throws(KubernetesError) {
    let request = watchRequest(from: version)
    let stream = try await client.open(request)
    watchBegan = client.timing.now()
    await sink(.fresh)
    var scanner = JSONLineScanner()
    while true {
      let piece = try await stream.piece()
      var lines: [WatchLine<Object>] = []
      if let piece {
        do { try scanner.scan(piece) { lines.append(WatchLine($0)) } } catch {
          throw error.of(request)
        }
      } else {
        scanner.finish { lines.append(WatchLine($0)) }
      }
      if lines.isEmpty { await sink(.fresh) }
      for line in lines { try await take(line, of: request, sink) }
      if piece == nil { return }
    }
  }

  private func watchRequest(from version: String) -> APIRequest {
    // Different lengths, so that many watches do not end together.
    let seconds = 240 + Int(client.timing.random() * 240)
    var request = APIRequest(.watch, path)
    request.query =
      selection.query + [
        ("watch", "true"), ("allowWatchBookmarks", "true"), ("resourceVersion", version),
        ("timeoutSeconds", "\(seconds)"),
      ]
    request.totalDeadline = nil
    // The server ends the watch by itself; one that says nothing beyond that is dead.
    request.idleDeadline = .seconds(seconds + 10)
    return request
  }

  private mutating func take(
    _ line: WatchLine<Object>, of request: APIRequest, _ sink: Sink
  ) async throws(KubernetesError) {
    switch line {
    case .changed(let object):
      await changed(object, sink)
      plan.saw(version: object.metadata?.resourceVersion ?? "")
    case .deleted(let object):
      await deleted(object, sink)
      plan.saw(version: object.metadata?.resourceVersion ?? "")
    case .bookmark(let version):
      await sink(.fresh)
      plan.saw(version: version)
    case .error(let status): throw .status(KubernetesStatus(status, to: request))
    case .unreadable(let problem): await sink(.malformed(key: nil, problem: problem))
    }
  }

  private mutating func changed(_ object: ReadObject<Object>, _ sink: Sink) async {
    if let key = object.metadata?.key { known.see(key) }
    switch object {
    case .success(let object): await sink(.object(object, isInitial: plan.isFirst))
    case .failure(let error): await sink(.malformed(key: error.metadata?.key, problem: error.problem))
    }
  }

  private mutating func deleted(_ object: ReadObject<Object>, _ sink: Sink) async {
    if let key = object.metadata?.key { known.remove(key) }
    switch object {
    case .success(let object): await sink(.gone(key: object.metadata.key, last: object))
    case .failure(let error):
      await sink(.malformed(key: error.metadata?.key, problem: error.problem))
      if let key = error.metadata?.key { await sink(.gone(key: key, last: nil)) }
    }
  }
}
