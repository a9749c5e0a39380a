public import MicroHTTP

/// What clusters have said of whoever sends a request.
struct Review: Sendable {
  /// Who that is, in each cluster that knows the token.
  var credentials: [Credential] = []
  /// Why a cluster has said nothing.
  var failure: Failure?

  enum Failure: Hashable, Sendable {
    case busy
    case failed(String)
  }
}

extension Authorizer {
  /// Whether a request may do what an acting route does; a token that is in no file is shown to the clusters that `access`
  /// names.
  ///
  /// - Parameter isQuestion: Whether it only asks what would be done, which no switch has to allow.
  public func authorize(
    _ request: Request, _ route: ActingRoute, isQuestion: Bool = false
  ) async -> Authorization {
    let review = await review(request, route.rights)
    return authorize(request, route.rights, switch: isQuestion ? nil : route.controlSwitch, review)
  }

  /// Whether a request comes with the rights of an acting route; whoever has them not is refused nothing.
  func has(_ request: Request, rightsOf route: ActingRoute) async -> Bool {
    has(request, route.rights, await review(request, route.rights))
  }

  /// Asks the clusters, where that can make a difference.
  ///
  /// - Parameter needed: Rights that the caller must have; empty where it is enough to be somebody.
  func review(_ request: Request, _ needed: Set<Right>) async -> Review {
    guard !request.isOfBrowser, let (token, authorities, open) = unreviewed(request, needed) else {
      return Review()
    }
    var (review, missing) = (Review(), open)
    for (authority, granted) in authorities {
      switch await desk.ask(token, authority, missing.intersection(granted)) {
      case .stranger: continue
      case .busy: review.failure = review.failure ?? .busy
      case .failed(let words): review.failure = .failed(words)
      case .user(let name, let rights):
        review.credentials.append(.cluster(user: name, authority, rights))
        missing.subtract(rights)
        if missing.isEmpty { return review }
      }
    }
    return review
  }
}
