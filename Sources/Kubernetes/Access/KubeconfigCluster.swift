internal import CurlClient
internal import FoundationEssentials

/// A cluster entry.
struct KubeconfigCluster: Hashable, Sendable {
  let name: String
  let place: String
  let server: String?
  let authorityFile: String?
  let authorityData: String?
  let isInsecure: Bool
  let serverName: String?
  let proxyURL: String?
  /// What the entry's extensions hold for credential programs.
  let execConfiguration: JSONValue?

  init(name: String, _ entry: KubeconfigEntry) throws(AccessError) {
    self.name = name
    place = entry.place
    server = try entry.string("server")
    authorityFile = try entry.path("certificate-authority")
    authorityData = try entry.string("certificate-authority-data")
    isInsecure = try entry.flag("insecure-skip-tls-verify")
    serverName = try entry.string("tls-server-name")
    proxyURL = try entry.string("proxy-url")
    var configuration: JSONValue?
    for element in try entry.elements("extensions")
    where try element.string("name") == "client.authentication.k8s.io/exec" {
      configuration = try element.value("extension").map { JSONValue($0) }
    }
    execConfiguration = configuration
  }

  func address() throws(AccessError) -> ServerAddress {
    guard let server else { throw AccessError(place, "no server: write server: https://host:6443") }
    do {
      return try ServerAddress(parsing: server.contains("://") ? server : "https://\(server)")
    } catch {
      throw AccessError(place, error.description)
    }
  }

  func tls() throws(AccessError) -> TLSOptions {
    var tls = TLSOptions()
    tls.serverName = serverName
    if isInsecure {
      guard authorityFile == nil, authorityData == nil else {
        throw AccessError(
          place, "insecure-skip-tls-verify beside a certificate-authority: remove one of them")
      }
      tls.verifiesPeer = false
      tls.verifiesHost = false
    } else if let authorityData {
      tls.authorities = .pem(try Base64Text.decoded(authorityData, "certificate-authority-data", place))
    } else if let authorityFile {
      do {
        _ = try SmallFile.read(authorityFile)
      } catch {
        throw AccessError(place, "certificate-authority \(authorityFile): \(error.text)")
      }
      tls.authorities = .file(authorityFile)
    }
    return tls
  }

  /// What a credential program is told of the cluster.
  func execInfo() throws(AccessError) -> JSONValue {
    var fields: [String: JSONValue] = ["server": .string(try address().description)]
    if let serverName { fields["tls-server-name"] = .string(serverName) }
    if isInsecure { fields["insecure-skip-tls-verify"] = true }
    if let proxyURL { fields["proxy-url"] = .string(proxyURL) }
    if let execConfiguration { fields["config"] = execConfiguration }
    if let authorityData {
      fields["certificate-authority-data"] = .string(authorityData)
    } else if let authorityFile {
      do {
        let bytes = try SmallFile.read(authorityFile)
        fields["certificate-authority-data"] = .string(Data(bytes).base64EncodedString())
      } catch {
        throw AccessError(place, "certificate-authority \(authorityFile): \(error.text)")
      }
    }
    return .object(fields)
  }
}

/// Text in base64, as the `-data` keys hold it.
enum Base64Text {
  static func decoded(_ text: String, _ key: String, _ place: String) throws(AccessError) -> [UInt8] {
    guard let data = Data(base64Encoded: text, options: .ignoreUnknownCharacters), !data.isEmpty else {
      throw AccessError(place, "\(key): no base64 text: encode the PEM text with base64 -w0")
    }
    return Array(data)
  }
}
