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
  /// Decodes an object.
  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    do {
      self = .success(try LazyDecoder.decode(Success.self, from: bytes))
    } catch {
      let bare = try? LazyDecoder.decode(BareObject.self, from: bytes)
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
