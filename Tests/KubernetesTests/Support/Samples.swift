import CurlClient
import Foundation
import Kubernetes
import Synchronization
import Testing

/// A kind of object for tests.
struct Thing: KubernetesObject {
  struct Spec: Decodable, Sendable { var size: Int }
  var metadata: ObjectMeta
  var spec: Spec
}

let things = Resource(group: "example.org", version: "v1", plural: "things")

/// A thing as the server writes it; the uid is the name unless told.
func thing(_ name: String, version: Int, size: String = "1", uid: String? = nil) -> String {
  #"{"apiVersion":"example.org/v1","kind":"Thing","metadata":{"name":"\#(name)","namespace":"ns","#
    + #""resourceVersion":"\#(version)","uid":"\#(uid ?? name)"},"spec":{"size":\#(size)}}"#
}

func thingList(_ items: [String], version: Int, next: String? = nil) -> String {
  let token = next.map { #","continue":"\#($0)","remainingItemCount":1"# } ?? ""
  return #"{"apiVersion":"example.org/v1","items":[\#(items.joined(separator: ","))],"kind":"ThingList","#
    + #""metadata":{"resourceVersion":"\#(version)"\#(token)}}"#
}

func event(_ type: String, _ object: String) -> String { #"{"type":"\#(type)","object":\#(object)}"# + "\n" }

func bookmark(_ version: Int) -> String {
  event(
    "BOOKMARK", #"{"kind":"Thing","metadata":{"resourceVersion":"\#(version)","creationTimestamp":null}}"#)
}

func status(_ code: Int, _ reason: String, _ message: String = "", details: String = "{}") -> String {
  #"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"\#(message)","reason":"\#(reason)","#
    + #""details":\#(details),"code":\#(code)}"#
}

/// Time that passes only when somebody sleeps, and never really.
final class TestTime: Sendable {
  private let state = Mutex((now: Date(timeIntervalSince1970: 1_000_000), slept: [Duration]()))

  var slept: [Duration] { state.withLock { $0.slept } }

  func advance(_ seconds: Double) { state.withLock { $0.now += seconds } }

  var timing: Timing {
    Timing(
      now: { self.state.withLock { $0.now } },
      sleep: { duration in
        try Task.checkCancellation()
        self.state.withLock {
          $0.slept.append(duration)
          $0.now += Double(duration.components.seconds)
        }
        await Task.yield()
      }, random: { 0 })
  }
}

/// Runs a test against a server and a client of its own, and ends both.
func withServer(
  credentials: Credentials = .none, time: TestTime = TestTime(), _ script: @escaping @Sendable (Ask) -> Reply,
  test: (KubernetesClient, ScriptedServer) async throws -> Void
) async throws {
  let server = try ScriptedServer(script)
  let http = CurlClient()
  let access = ClusterAccess(address: server.address, proxy: .none, credentials: credentials)
  let client = KubernetesClient(access: access, http: http, version: "1.2.3", timing: time.timing)
  let outcome: Result<Void, any Error>
  do { outcome = .success(try await test(client, server)) } catch { outcome = .failure(error) }
  server.stop()
  await http.shutdown()
  try outcome.get()
}

/// The error of a call; recorded as an issue where there is none.
func failure(_ work: () async throws(KubernetesError) -> Void) async -> KubernetesError? {
  do {
    try await work()
    Issue.record("it did not fail")
    return nil
  } catch {
    return error
  }
}

/// A directory of the test's own, removed with it.
final class TestDirectory: Sendable {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "/kubernetes-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file, and names it.
  @discardableResult
  func write(_ text: String, to name: String, executable: Bool = false) throws -> String {
    let file = "\(path)/\(name)"
    let directory = (file as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    if executable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file) }
    return file
  }
}
