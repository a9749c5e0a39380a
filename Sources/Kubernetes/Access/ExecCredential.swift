internal import FoundationEssentials

/// What a credential program printed.
struct ExecCredential: Hashable, Sendable {
  var token: String?
  var certificate: String?
  var key: String?
  /// Until when it may be shown; nil: until the server refuses it.
  var expires: Date?

  /// Reads a program's standard output; the error is what is wrong with it.
  init(parsing output: [UInt8], version: String) throws(Problem) {
    guard let wire = try? JSONDecoder().decode(Wire.self, from: Data(output)) else {
      throw Problem(text: "its output is no ExecCredential object in JSON")
    }
    guard wire.kind == "ExecCredential", wire.apiVersion == version else {
      throw Problem(
        text:
          "it printed kind '\(wire.kind ?? "")', apiVersion '\(wire.apiVersion ?? "")' where ExecCredential, "
          + "'\(version)' was asked for; make the kubeconfig and the program agree"
      )
    }
    token = wire.status?.token.flatMap { $0.isEmpty ? nil : $0 }
    certificate = wire.status?.clientCertificateData.flatMap { $0.isEmpty ? nil : $0 }
    key = wire.status?.clientKeyData.flatMap { $0.isEmpty ? nil : $0 }
    guard (certificate == nil) == (key == nil) else {
      throw Problem(text: "it printed a client certificate or a client key without the other")
    }
    guard token != nil || certificate != nil else {
      throw Problem(text: "it printed neither a token nor a client certificate")
    }
    if let text = wire.status?.expirationTimestamp {
      guard let date = Date(rfc3339: text) else {
        throw Problem(text: "it printed an expirationTimestamp that is no RFC 3339 time")
      }
      expires = date
    }
  }

  struct Problem: Error { let text: String }

  private struct Wire: Decodable {
    struct Status: Decodable {
      var token: String?
      var clientCertificateData: String?
      var clientKeyData: String?
      var expirationTimestamp: String?
    }

    var kind: String?
    var apiVersion: String?
    var status: Status?
  }
}

extension Date {
  /// Reads a time as the API writes it, with or without fractions of a second.
  init?(rfc3339 text: String) {
    let formats = [
      Date.ISO8601FormatStyle(), Date.ISO8601FormatStyle(includingFractionalSeconds: true),
    ]
    for format in formats {
      if let date = try? Date(text, strategy: format) {
        self = date
        return
      }
    }
    return nil
  }
}
