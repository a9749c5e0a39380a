import Testing

@testable import InetDiag

@Suite("Addresses")
struct IPAddressTests {
  @Test(
    "an address has one text, however it was written",
    arguments: [
      ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("::ffff:c000:201", "192.0.2.1"),
      ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"), ("::1", "::1"), ("::", "::"), ("0.0.0.0", "0.0.0.0"),
      ("fe80::1:2", "fe80::1:2"), ("1::ffff:192.0.2.1", "1::ffff:c000:201"),
    ])
  func canonical(text: String, canonical: String) throws {
    let address = try #require(IPAddress(text))
    #expect(address.description == canonical)
    #expect(address == IPAddress(canonical))
    #expect(address.isIPv4 == !canonical.contains(":"))
  }

  @Test(
    "what is no address is none",
    arguments: [
      "", "localhost", "192.0.2", "192.0.2.256", "[::1]", "::1%lo", "192.0.2.1:80", "1::2::3", " ::1",
    ])
  func none(text: String) { #expect(IPAddress(text) == nil) }

  @Test("an end is written as an address with a port usually is")
  func endpoint() throws {
    let v4 = TCPConnection.Endpoint(address: try #require(IPAddress("192.0.2.1")), port: 49152)
    let v6 = TCPConnection.Endpoint(address: try #require(IPAddress("2001:db8::1")), port: 80)
    #expect("\(v4)" == "192.0.2.1:49152" && "\(v6)" == "[2001:db8::1]:80")
  }

  @Test("the kinds of an error are the words that they are named by")
  func kinds() {
    #expect(InetDiagError.Kind.allCases.map(\.rawValue) == ["unavailable", "denied", "protocol", "timeout"])
  }
}
