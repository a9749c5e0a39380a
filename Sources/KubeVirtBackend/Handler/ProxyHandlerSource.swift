internal import CurlClient
internal import FoundationEssentials

/// Who can ask the API server for a path.
protocol RawGetter: Sendable {
  /// Asks for a path with `GET`, for any type of content; any status is an answer. At least 64 MiB of body are to be
  /// read, and 12 s to be waited.
  ///
  /// - Throws: Where there is no answer, or the task is cancelled.
  func get(_ path: String) async throws -> RawAnswer
}

/// Asks the pods through the API server, where their network is out of reach.
struct ProxyHandlerSource: HandlerSource {
  private let getter: any RawGetter
  private let port: UInt16

  /// Each pod is asked by itself.
  var grouping: HandlerSchedule.Grouping { .perNode }

  /// Prepares to ask.
  ///
  /// - Parameter port: Where virt-handler listens.
  init(getter: any RawGetter, port: UInt16 = 8443) {
    self.getter = getter
    self.port = port
  }

  /// Asks one virt-handler.
  func read(_ targets: [HandlerTarget]) async throws(HandlerError) -> HandlerReading {
    let target = try single(targets)
    let call = "GET virt-handler of node \(target.node) (\(target.pod)) through the API server"
    let answer: RawAnswer
    do {
      answer = try await getter.get(path(target))
    } catch is CancellationError {
      throw HandlerError(.cancelled, call: call, message: "cancelled", remedy: "ask again")
    } catch let error as CurlError where error.code == .cancelled || error.code == .shutDown {
      throw HandlerError(error, call: call, wasCut: false)
    } catch {
      throw HandlerError(
        .apiServer, call: call, message: "\(error)".oneLine, remedy: "check the API server and the way to it")
    }
    if let error = Self.unreached(answer, call: call) { throw error }
    return try HandlerAnswer.reading(answer, call: call)
  }

  private func path(_ target: HandlerTarget) -> String {
    let namespace = target.namespace.percentEncoded
    return "/api/v1/namespaces/\(namespace)/pods/https:\(target.pod.percentEncoded):\(port)/proxy/metrics"
  }

  /// What an API server says that did not reach the pod.
  ///
  /// Old ones say it in plain text, and most with the status that virt-handler has for "too many ask".
  private static func unreached(_ answer: RawAnswer, call: String) -> HandlerError? {
    guard answer.status >= 500 else { return nil }
    let text = String(decoding: answer.body.prefix(4096), as: UTF8.self)
    let words =
      (try? JSONDecoder().decode(Status.self, from: Data(answer.body.prefix(4096))))?.message ?? text
    guard words.lowercased().contains("trying to reach") else { return nil }
    let kind: HandlerError.Kind =
      if words.contains("connection refused") {
        .refused
      } else if words.contains("x509") || words.contains("tls:") {
        .tls
      } else {
        .connect
      }
    return HandlerError(
      kind, call: call, message: words.oneLine, remedy: "check the way from the API server to the pod")
  }

  private struct Status: Decodable {
    var message: String
  }
}

extension String {
  /// The text as one part of a path or query.
  var percentEncoded: String {
    var text = ""
    for byte in utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
        UInt8(ascii: "~"):
        text.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        text += digits.utf8.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return text
  }
}
