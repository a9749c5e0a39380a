/// The members of an object in the API's JSON, read one by one and leniently.
///
/// What is absent, null or not of the expected kind is nil: no field is worth losing an object for. For types of which
/// there are thousands: it costs a quarter of what a keyed container does.
public struct JSONFields {
  private let members: LazyMembers

  /// The members of what is to be decoded; throws a `DecodingError` where that is no object.
  ///
  /// - Parameter decoder: That of ``KubernetesObject``s; another one has no text to read.
  public init(_ decoder: any Decoder) throws {
    guard let decoder = decoder as? LazyDecoder else {
      let context = DecodingError.Context(
        codingPath: decoder.codingPath, debugDescription: "objects of the API have a decoder of their own")
      throw DecodingError.dataCorrupted(context)
    }
    members = try LazyMembers(decoder)
  }

  private init?(_ text: JSONText, at name: StaticString, in outer: LazyDecoder) {
    let decoder = LazyDecoder(text: text, place: JSONPlace(JSONName.Key(name), in: outer.place))
    guard let members = try? LazyMembers(decoder) else { return nil }
    self.members = members
  }

  /// Whether it is there at all, and be it null.
  public func contains(_ name: StaticString) -> Bool { members.find(name) != nil }

  /// Whether it is there, and not null.
  public func isGiven(_ name: StaticString) -> Bool { members.find(name).map { !$0.isNull } ?? false }

  /// A string.
  public func text(_ name: StaticString) -> String? { members.find(name)?.string() }

  /// A string, or a number as it is written.
  public func textOrNumber(_ name: StaticString) -> String? {
    members.find(name).flatMap { $0.string() ?? $0.number() }
  }

  /// A boolean.
  public func flag(_ name: StaticString) -> Bool? { members.find(name)?.bool() }

  /// A whole number that is not negative.
  public func count(_ name: StaticString) -> UInt64? { members.find(name)?.integer(UInt64.self) }

  /// An object.
  public func fields(_ name: StaticString) -> JSONFields? {
    members.find(name).flatMap { JSONFields($0, at: name, in: members.decoder) }
  }

  /// An object whose members are strings all.
  public func texts(_ name: StaticString) -> [String: String]? {
    guard let found = fields(name)?.members else { return nil }
    var texts: [String: String] = [:]
    for (key, value) in zip(found.names, found.values) {
      guard let text = value.string() else { return nil }
      texts[key] = text
    }
    return texts
  }

  /// The objects in a list.
  public func list(_ name: StaticString) -> [JSONFields] {
    (members.find(name)?.elements() ?? []).compactMap { JSONFields($0, at: name, in: members.decoder) }
  }

  /// How many elements a list has.
  public func length(_ name: StaticString) -> Int? { members.find(name)?.elements()?.count }

  /// A value of any type.
  public func value<Value: Decodable>(_ name: StaticString, as type: Value.Type = Value.self) -> Value? {
    guard isGiven(name) else { return nil }
    return try? required(name)
  }

  /// A value that must be there; throws a `DecodingError` that says where it is not.
  public func required<Value: Decodable>(_ name: StaticString, as type: Value.Type = Value.self) throws
    -> Value
  {
    try members.required(JSONName.Key(name)).value(type)
  }
}

extension JSONName {
  /// The name of a member, as part of a path.
  struct Key: CodingKey {
    // Made for every object that is read, and turned into text only for an error.
    private let name: StaticString
    var stringValue: String { "\(name)" }
    var intValue: Int? { nil }
    init(_ name: StaticString) { self.name = name }
    init?(stringValue: String) { nil }
    init?(intValue: Int) { nil }
  }
}
