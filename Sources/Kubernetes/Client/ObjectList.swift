public import FoundationEssentials

/// Which objects of a collection.
public struct ListSelection: Hashable, Sendable {
  /// Labels that they have, as `kubectl -l` takes them; nil for any.
  public var labels: String?
  /// Fields that they have, as `kubectl --field-selector` takes them; nil for any.
  public var fields: String?

  /// Selects by labels and fields.
  public init(labels: String? = nil, fields: String? = nil) {
    self.labels = labels
    self.fields = fields
  }
}

/// An object that could not be read.
public struct MalformedObject: Hashable, Sendable {
  /// Its key; nil where not even that could be read.
  public var key: ObjectKey?
  /// What is wrong with it.
  public var problem: String
}

/// A part of a list, or the whole of it.
public struct ObjectList<Object: KubernetesObject>: Sendable {
  /// The objects that could be read.
  public var objects: [Object] = []
  /// The ones that could not.
  public var malformed: [MalformedObject] = []
  /// The version of the list, to watch from.
  public var resourceVersion = ""
  /// Where the next page begins; nil at the end.
  public var next: String?
  /// About how many objects are left; nil where the server does not say.
  public var remaining: Int?
  /// The server's clock when it answered, to the second.
  public var serverTime: Date?
}

extension KubernetesClient {
  /// One page of a collection, the objects decoded one by one.
  ///
  /// - Parameters:
  ///   - resourceVersion: nil for what is newest, "0" for whatever the server has at hand.
  ///   - limit: Objects in a page; nil for all in one.
  ///   - next: Where the page begins, as the page before told it; 410 says that it is too late for that.
  public func listPage<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection = ListSelection(), of type: Object.Type = Object.self,
    resourceVersion: String? = nil, limit: Int? = 500, next: String? = nil
  ) async throws(KubernetesError) -> ObjectList<Object> {
    let request = ListRequest(
      path: path, selection: selection, resourceVersion: resourceVersion, next: next, limit: limit)
    return try await repeating { () async throws(KubernetesError) in
      var list = ObjectList<Object>()
      let (rest, serverTime) = try await readPage(request) { (objects: [ReadObject<Object>]) in
        for object in objects {
          switch object {
          case .success(let object): list.objects.append(object)
          case .failure(let error): list.malformed.append(error.object)
          }
        }
      }
      list.resourceVersion = rest.resourceVersion ?? ""
      list.next = rest.continue.flatMap { $0.isEmpty ? nil : $0 }
      list.remaining = rest.remainingItemCount
      list.serverTime = serverTime
      return list
    }
  }

  /// A whole collection; where a page comes too late (410), all of it once more in one piece.
  public func list<Object: KubernetesObject>(
    _ path: ResourcePath, _ selection: ListSelection = ListSelection(), of type: Object.Type = Object.self
  ) async throws(KubernetesError) -> ObjectList<Object> {
    var whole: ObjectList<Object> = try await listPage(path, selection)
    while let next = whole.next {
      do {
        let page: ObjectList<Object> = try await listPage(path, selection, next: next)
        whole.objects += page.objects
        whole.malformed += page.malformed
        (whole.resourceVersion, whole.next) = (page.resourceVersion, page.next)
        (whole.remaining, whole.serverTime) = (page.remaining, page.serverTime)
      } catch {
        guard error.kind == .gone else { throw error }
        return try await listPage(path, selection, limit: nil)
      }
    }
    return whole
  }
}
