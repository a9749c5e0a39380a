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
  /// Decodes an object.
  init(_ bytes: UnsafeBufferPointer<UInt8>) {
    let data = Data(buffer: bytes)
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
