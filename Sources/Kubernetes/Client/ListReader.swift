internal import CurlClient
internal import FoundationEssentials

/// One list request: which objects, from where.
struct ListRequest: Hashable, Sendable {
  var path: ResourcePath
  var selection = ListSelection()
  /// nil for what is newest, "0" for whatever the server has at hand.
  var resourceVersion: String?
  /// Where the page begins.
  var next: String?
  /// Objects in a page; nil for all.
  var limit: Int? = 500

  var request: APIRequest {
    var request = APIRequest(.list, path)
    request.query = selection.query
    if let limit { request.query.append(("limit", "\(limit)")) }
    if let next {
      request.query.append(("continue", next))
    } else if let resourceVersion {
      request.query.append(("resourceVersion", resourceVersion))
    }
    // A large list takes its time, but never stands still.
    request.totalDeadline = nil
    request.idleDeadline = .seconds(60)
    return request
  }
}

extension ListSelection {
  var query: [(name: String, value: String)] {
    [("labelSelector", labels), ("fieldSelector", fields)].compactMap { name, value in
      value.map { (name, $0) }
    }
  }
}

/// What stands in a list beside its items.
struct ListRest: Decodable {
  struct Meta: Decodable {
    var resourceVersion: String?
    var `continue`: String?
    var remainingItemCount: Int?
  }

  var metadata: Meta?
}

extension KubernetesClient {
  /// One page, its objects told while it comes, a few at a time; returns what stands beside them.
  func readPage<Object: KubernetesObject>(
    _ list: ListRequest, telling: ([ReadObject<Object>]) async -> Void
  ) async throws(KubernetesError) -> (rest: ListRest.Meta, serverTime: Date?) {
    let request = list.request
    let stream = try await open(request)
    var scanner = JSONItemScanner()
    while let piece = try await stream.piece() {
      var objects: [ReadObject<Object>] = []
      do { try scanner.scan(piece) { objects.append(ReadObject($0)) } } catch {
        throw error.of(request)
      }
      await telling(objects)
    }
    let rest: [UInt8]
    do { rest = try scanner.finish() } catch { throw error.of(request) }
    guard let list = try? JSONDecoder().decode(ListRest.self, from: Data(rest)), let meta = list.metadata
    else {
      throw .decoding(call: request.call, problem: "the answer is no list: no metadata")
    }
    return (meta, stream.headers.date)
  }
}

extension ResponseStream {
  func piece() async throws(KubernetesError) -> [UInt8]? {
    do { return try await next() } catch { throw .transport(error) }
  }
}

extension JSONScanError {
  func of(_ request: APIRequest) -> KubernetesError {
    .decoding(call: request.call, problem: "the answer is not what was asked for: \(self)")
  }
}
