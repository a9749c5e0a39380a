/// One event of a watch.
enum WatchLine<Object: KubernetesObject> {
  case changed(ReadObject<Object>)
  case deleted(ReadObject<Object>)
  case bookmark(resourceVersion: String)
  case error(KubernetesStatus.Wire)
  case unreadable(String)

  init(_ line: UnsafeBufferPointer<UInt8>) {
    do {
      self = try LazyDecoder.decode(Wire.self, from: line).line
    } catch {
      let name = JSONName.find(in: line).map { " of '\($0)'" } ?? ""
      self = .unreadable("an event\(name): \(decodingProblem(error))")
    }
  }

  private struct Wire: Decodable {
    let line: WatchLine

    private struct Bookmark: Decodable {
      struct Meta: Decodable { var resourceVersion: String }
      var metadata: Meta
    }

    init(from decoder: any Decoder) throws {
      let fields = try JSONFields(decoder)
      switch try fields.required("type", as: String.self) {
      case "ADDED", "MODIFIED": line = .changed(Self.object(fields))
      case "DELETED": line = .deleted(Self.object(fields))
      case "BOOKMARK":
        let bookmark: Bookmark = try fields.required("object")
        line = .bookmark(resourceVersion: bookmark.metadata.resourceVersion)
      case "ERROR": line = .error(try fields.required("object"))
      case let type: line = .unreadable("an event of the unknown type '\(type.prefix(50))'")
      }
    }

    private static func object(_ fields: JSONFields) -> ReadObject<Object> {
      do {
        return .success(try fields.required("object"))
      } catch {
        let bare = fields.value("object", as: BareObject.self)
        return .failure(UnreadableObject(problem: decodingProblem(error), metadata: bare?.metadata))
      }
    }
  }
}
