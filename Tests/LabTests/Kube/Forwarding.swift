import CurlClient

private let client = CurlClient()

/// Sends an alert on to a replica; 502 where that does not answer within two seconds.
func forward(_ body: [UInt8], authorization: String, to port: UInt16) async -> (status: Int, body: [UInt8]) {
  do {
    let address = try ServerAddress(parsing: "http://127.0.0.1:\(port)")
    var request = Request(
      .post, Endpoint(address, path: "/api/v1/alerts"),
      headers: ["Authorization": authorization, "Content-Type": "application/json"], body: body)
    request.totalDeadline = .seconds(2)
    let answer = try await client.send(request)
    return (answer.status, answer.body)
  } catch {
    return (502, [])
  }
}
