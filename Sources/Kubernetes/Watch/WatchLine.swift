internal import FoundationEssentials

/// One event of a watch.
enum WatchLine<Object: KubernetesObject> {
  case changed(ReadObject<Object>)
  case deleted(ReadObject<Object>)
  case bookmark(resourceVersion: String)
  case error(KubernetesStatus.Wire)
  case unreadable(String)

  /// - Parameter unread: What is not looked at, from the line's own members on.
  init(_ line: UnsafeBufferPointer<UInt8>, omitting unread: JSONOmissions = []) {
    do {
      self = try JSONDecoder().decode(Wire.self, from: Data(line, omitting: unread)).line
    } catch {
      let name = JSONName.find(in: line).map { " of '\($0)'" } ?? ""
      self = .unreadable("an event\(name): \(decodingProblem(error))")
    }
  }

  private struct Wire: Decodable {
    let line: WatchLine

    private enum Key: String, CodingKey { case type, object }

    private struct Bookmark: Decodable {
      struct Meta: Decodable { var resourceVersion: String }
      var metadata: Meta
    }

    init(from decoder: any Decoder) throws {
      let values = try decoder.container(keyedBy: Key.self)
      switch try values.decode(String.self, forKey: .type) {
      case "ADDED", "MODIFIED": line = .changed(Self.object(values))
      case "DELETED": line = .deleted(Self.object(values))
      case "BOOKMARK":
        let bookmark = try values.decode(Bookmark.self, forKey: .object)
        line = .bookmark(resourceVersion: bookmark.metadata.resourceVersion)
      case "ERROR": line = .error(try values.decode(KubernetesStatus.Wire.self, forKey: .object))
      case let type: line = .unreadable("an event of the unknown type '\(type.prefix(50))'")
      }
    }

    private static func object(_ values: KeyedDecodingContainer<Key>) -> ReadObject<Object> {
      do {
        return .success(try values.decode(Object.self, forKey: .object))
      } catch {
        let bare = try? values.decode(BareObject.self, forKey: .object)
        return .failure(UnreadableObject(problem: decodingProblem(error), metadata: bare?.metadata))
      }
    }
  }
}
