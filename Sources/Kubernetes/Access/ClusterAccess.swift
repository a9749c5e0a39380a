public import CurlClient

/// Which cluster to ask, how to reach it, and who asks.
public struct ClusterAccess: Sendable {
  /// The API server; may have a path before the API's own, as Rancher's `/k8s/clusters/c-1`.
  public var address: ServerAddress
  /// Whom to trust; a client certificate comes from ``credentials``.
  public var tls: TLSOptions
  /// The proxy to go through.
  public var proxy: ProxyChoice
  /// The namespace that is meant where none is named.
  public var namespace: String
  /// Who asks.
  public var credentials: Credentials
  /// Where all this was read, in words, for a log.
  public var origin: String

  /// Puts together what is known otherwise.
  public init(
    address: ServerAddress, tls: TLSOptions = TLSOptions(), proxy: ProxyChoice = .environment,
    namespace: String = "default", credentials: Credentials = .none, origin: String = "given"
  ) {
    self.address = address
    self.tls = tls
    self.proxy = proxy
    self.namespace = namespace
    self.credentials = credentials
    self.origin = origin
  }
}

extension ClusterAccess {
  /// The account of the pod that this process runs in.
  ///
  /// - Parameters:
  ///   - environment: Names the server: `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`.
  ///   - directory: Where the pod's account is mounted; the token there is read anew when it changes.
  public static func inCluster(
    environment: [String: String], directory: String = "/var/run/secrets/kubernetes.io/serviceaccount",
    timing: Timing = .system
  ) throws(AccessError) -> ClusterAccess {
    let place = "in-cluster access"
    guard let host = environment["KUBERNETES_SERVICE_HOST"], !host.isEmpty,
      let port = environment["KUBERNETES_SERVICE_PORT"], !port.isEmpty
    else {
      throw AccessError(
        place,
        "KUBERNETES_SERVICE_HOST or KUBERNETES_SERVICE_PORT is not set: this is no pod; name a kubeconfig instead"
      )
    }
    let address: ServerAddress
    do {
      address = try ServerAddress(parsing: "https://\(host.contains(":") ? "[\(host)]" : host):\(port)")
    } catch {
      throw AccessError(place, error.description)
    }
    let tokenFile = TokenFile(path: "\(directory)/token", place: place)
    // Without a token there is no reason to begin.
    _ = try tokenFile.token(at: timing.now())
    var tls = TLSOptions()
    tls.authorities = .file("\(directory)/ca.crt")
    if let failure = failure(reading: "\(directory)/ca.crt") {
      throw AccessError(place, "\(directory)/ca.crt: \(failure)")
    }
    let namespace = (try? SmallFile.read("\(directory)/namespace")).map {
      String(decoding: $0, as: UTF8.self)
    }
    return ClusterAccess(
      address: address, tls: tls, proxy: .environment,
      namespace: namespace?.split(whereSeparator: \.isWhitespace).first.map(String.init) ?? "default",
      credentials: Credentials(tokenFile: tokenFile, timing: timing),
      origin: "service account in \(directory)")
  }

  private static func failure(reading path: String) -> String? {
    do {
      _ = try SmallFile.read(path)
      return nil
    } catch {
      return error.text
    }
  }
}
