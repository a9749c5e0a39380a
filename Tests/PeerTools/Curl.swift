import Foundation

/// What curl got.
package struct CurlAnswer: Sendable {
  /// curl's own exit code: 0, 7 (no connection), 35 or 56 (TLS), 60 (not trusted).
  package var exit: Int32
  /// 0 where there was no answer.
  package var status = 0
  package var headers: [(name: String, value: String)] = []
  package var body = ""
  package var errors: String

  package func header(_ name: String) -> String? {
    headers.first { $0.name.lowercased() == name.lowercased() }?.value
  }
}

/// Asks with curl, as this user or as another one (which takes root).
package func curl(_ arguments: [String], as uid: UInt32? = nil, in directory: Scratch) async throws
  -> CurlAnswer
{
  let options = ["--silent", "--show-error", "--include", "--max-time", "60", "--noproxy", "*"] + arguments
  let result: ToolResult
  if let uid {
    let user = ["--reuid", "\(uid)", "--regid", "\(uid)", "--clear-groups", "curl"]
    result = try await run("setpriv", user + options, in: directory)
  } else {
    result = try await run("curl", options, in: directory)
  }
  var answer = CurlAnswer(exit: result.status, errors: result.errors)
  guard let end = result.text.firstRange(of: "\r\n\r\n") else { return answer }
  let lines = result.text[..<end.lowerBound].components(separatedBy: "\r\n")
  answer.status = Int(lines[0].split(separator: " ").dropFirst().first ?? "") ?? 0
  answer.headers = lines.dropFirst().map { line in
    let parts = line.split(separator: ":", maxSplits: 1)
    return (String(parts[0]), parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : "")
  }
  answer.body = String(result.text[end.upperBound...])
  return answer
}
