internal import FoundationEssentials

/// One object of a list or a watch event, or what is wrong with it.
typealias ReadObject<Object> = Result<Object, UnreadableObject>

/// An object that cannot be decoded.
struct UnreadableObject: Error {
  let problem: String
  /// nil where not even that could be read.
  let metadata: ObjectMeta?

  var object: MalformedObject { MalformedObject(key: metadata?.key, problem: problem) }
}

/// Nothing but what every object has.
struct BareObject: KubernetesObject {
  var metadata: ObjectMeta
}

extension Result where Success: KubernetesObject, Failure == UnreadableObject {
  /// Decodes an object, without what nobody reads of it.
  init(_ bytes: UnsafeBufferPointer<UInt8>, omitting unread: JSONOmissions = Success.unread) {
    let data = Data(bytes, omitting: unread)
    do {
      self = .success(try JSONDecoder().decode(Success.self, from: data))
    } catch {
      let bare = try? JSONDecoder().decode(BareObject.self, from: data)
      let name = bare == nil ? JSONName.find(in: bytes).map { "'\($0)': " } : nil
      self = .failure(
        UnreadableObject(problem: (name ?? "") + decodingProblem(error), metadata: bare?.metadata))
    }
  }

  var metadata: ObjectMeta? {
    switch self {
    case .success(let object): object.metadata
    case .failure(let error): error.metadata
    }
  }
}

extension Data {
  /// What there is to decode of an object.
  init(_ bytes: UnsafeBufferPointer<UInt8>, omitting unread: JSONOmissions) {
    if let left = unread.cut(bytes) { self.init(left) } else { self.init(buffer: bytes) }
  }
}
