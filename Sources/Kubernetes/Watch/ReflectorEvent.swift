public import FoundationEssentials

/// What a ``Reflector`` tells.
public enum ReflectorEvent<Object: KubernetesObject>: Sendable {
  /// A list is begun: until ``synced(serverTime:isFirst:)`` what is told is not all there is.
  case listing
  /// The object is there, and looks like this: new, changed, or just told again.
  ///
  /// `isInitial` until the first list is complete: it was there before anybody looked.
  case object(Object, isInitial: Bool)
  /// The object is there no more; `last` is how it looked in the end, nil where that went unseen.
  case gone(key: ObjectKey, last: Object?)
  /// A list is complete: what was told since it began, and not taken back, is all there is.
  ///
  /// `serverTime` is the server's clock when it began to answer, to the second; nil where it told none.
  case synced(serverTime: Date?, isFirst: Bool)
  /// An object, or an event, cannot be read and was left out; `key` is nil where not even that could be read.
  case malformed(key: ObjectKey?, problem: String)
  /// A sign of life that holds nothing.
  case fresh
  /// It went wrong, and will be tried again.
  case failed(KubernetesError, retryIn: Duration)
}
