import Glibc
import Testing

@testable import CurlClient

extension BehindTLS {
  @Suite struct TLS {
    enum Given: CaseIterable {
      case file, pem

      /// The same PEM text either way.
      func source(_ bytes: [UInt8], _ name: String, in directory: TemporaryDirectory) throws -> PEMSource {
        switch self {
        case .file: .file(try directory.write(name, bytes))
        case .pem: .pem(bytes)
        }
      }

      func authorities(
        _ bytes: [UInt8], _ name: String, in directory: TemporaryDirectory
      ) throws -> TLSOptions.Authorities {
        switch try source(bytes, name, in: directory) {
        case .file(let path): .file(path)
        case .pem(let bytes): .pem(bytes)
        }
      }
    }

    private let directory: TemporaryDirectory
    private let certificates: Certificates

    init() throws {
      directory = try TemporaryDirectory()
      certificates = try Certificates.all
    }

    /// The front under a name that its certificate does not hold.
    private func byOtherName(_ front: TLSFront) throws -> Endpoint {
      let text = front.address.description.replacing("127.0.0.1", with: "localhost")
      return Endpoint(try ServerAddress(parsing: text), path: "/")
    }

    @Test("the authority that is given is trusted, and no other", arguments: Given.allCases)
    func authority(given: Given) async throws {
      try await withTLS { front, client in
        var request = patient(.get, front.endpoint())
        request.tls.authorities = try given.authorities(certificates.authority, "right.pem", in: directory)
        #expect(await outcome(client, request).response?.body == Array("ok".utf8))
        request.tls.authorities = try given.authorities(
          certificates.otherAuthority, "wrong.pem", in: directory)
        let error = try #require(await failure(client, request))
        #expect(error.shortDescription == "tls")
        #expect(error.description.contains("an authority that is not trusted"), "\(error)")
        request.tls.verifiesHost = false
        #expect(await failure(client, request)?.shortDescription == "tls")
        request.tls.verifiesPeer = false
        #expect(await outcome(client, request).response?.status == 200)
      }
    }

    @Test("the system does not trust the tests' authority")
    func system() async throws {
      try await withTLS { front, client in
        let error = await failure(client, patient(.get, front.endpoint()))
        #expect(error?.description.contains("an authority that is not trusted") == true)
      }
    }

    @Test("a certificate for another name is refused, whoever signed it", arguments: [true, false])
    func otherName(verifiesPeer: Bool) async throws {
      try await withTLS { front, client in
        var request = try trusting(.get, byOtherName(front))
        request.tls.verifiesPeer = verifiesPeer
        let error = try #require(await failure(client, request))
        #expect(error.shortDescription == "tls")
        #expect(error.description.contains("is for another name"), "\(error)")
        request.tls.verifiesHost = false
        #expect(await outcome(client, request).response?.status == 200)
      }
    }

    @Test("a certificate that has expired is refused")
    func expired() async throws {
      try await withTLS(.init(pair: certificates.expired)) { front, client in
        let error = try #require(await failure(client, trusting(.get, front.endpoint())))
        #expect(error.shortDescription == "tls")
        #expect(error.description.contains("renew it"), "\(error)")
      }
    }

    @Test("another name is asked for and verified, and the Host field stays", arguments: [true, false])
    func serverName(allowsHTTP2: Bool) async throws {
      let seen = Mailbag()
      try await withTLS { connection in
        while let text = connection.request() {
          seen.put(text.lowercased())
          connection.answer()
        }
      } test: { front, client in
        let endpoint = try byOtherName(front)
        var request = try trusting(.get, endpoint)
        request.allowsHTTP2 = allowsHTTP2
        request.tls.serverName = Certificates.serverName
        #expect(await outcome(client, request).response?.status == 200)
        let host = endpoint.address.description.replacing("https://", with: "")
        #expect(seen.all.first?.contains("\r\nhost: \(host)\r\n") == true)
        let record = try await eventually { try front.records.first }
        #expect(record.serverName == Certificates.serverName)
        #expect(record.alpn == (allowsHTTP2 ? "h2" : "http/1.1"))
        request.tls.serverName = "other.test"
        #expect(await failure(client, request)?.description.contains("is for another name") == true)
      }
    }

    @Test("an IP address may be the name to verify")
    func addressAsName() async throws {
      try await withTLS { front, client in
        var request = try trusting(.get, byOtherName(front))
        request.tls.serverName = "127.0.0.1"
        #expect(await outcome(client, request).response?.status == 200)
      }
    }

    @Test("the client's certificate is shown to a server that demands one", arguments: Given.allCases)
    func clientCertificate(given: Given) async throws {
      try await withTLS(.init(clientAuthority: certificates.authority)) { front, client in
        var request = try trusting(.get, front.endpoint())
        request.tls.clientCertificate = try given.source(
          certificates.client.certificate, "client.pem", in: directory)
        request.tls.clientKey = try given.source(certificates.client.key, "client.key", in: directory)
        #expect(await outcome(client, request).response?.status == 200)
        #expect(try await eventually { try front.records.first }.clientSubject == "CN=client")
        let stream = try await client.open(request)
        #expect(try await whole(stream) == Array("ok".utf8))
        // One text may hold both.
        request.tls.clientCertificate = try given.source(
          certificates.client.certificate + certificates.client.key, "both.pem", in: directory)
        request.tls.clientKey = nil
        #expect(await outcome(client, request).response?.status == 200)
      }
    }

    @Test(
      "a server that demands a certificate and gets none, or a stranger's, says so",
      arguments: ["TLSv1.2", "TLSv1.3"])
    func clientRefused(version: String) async throws {
      let options = TLSFront.Options(clientAuthority: certificates.otherAuthority, version: version)
      try await withTLS(options) { front, client in
        var request = try trusting(.get, front.endpoint())
        for certificate in [nil, certificates.client] {
          request.tls.clientCertificate = certificate.map { .pem($0.certificate) }
          request.tls.clientKey = certificate.map { .pem($0.key) }
          let error = try #require(await failure(client, request))
          // In TLS 1.3 the connection may be closed before the reason was read.
          if version == "TLSv1.3", error.shortDescription == "closed" { continue }
          #expect(error.shortDescription == "tls", "\(error)")
          #expect(error.description.contains("client certificate"), "\(error)")
        }
      }
    }

    @Test("a key under a passphrase is a failure, and nobody is asked", .timeLimit(.minutes(1)))
    func passphrase() async throws {
      try await withTLS { front, client in
        var request = try trusting(.get, front.endpoint())
        request.tls.clientCertificate = .pem(certificates.client.certificate)
        request.tls.clientKey = .pem(certificates.encryptedKey)
        let error = try #require(await failure(client, request))
        #expect(error.shortDescription == "tls")
        #expect(error.description.contains("have no passphrase"), "\(error)")
      }
    }

    @Test("what cannot be read is told, by the part that it is")
    func unreadable() async throws {
      try await withTLS { front, client in
        let absent = directory.file("absent")
        let junk = try directory.write("junk", Array("junk".utf8))
        var request = patient(.get, front.endpoint())
        for authorities in [TLSOptions.Authorities.file(absent), .file(junk), .pem(Array("junk".utf8))] {
          request.tls.authorities = authorities
          let error = try #require(await failure(client, request))
          #expect(error.shortDescription == "tls")
          #expect(error.description.contains("check that certificate-authority"), "\(error)")
        }
        let (certificate, key) = (certificates.client.certificate, certificates.client.key)
        for (certificate, key) in [
          (PEMSource.file(absent), PEMSource.pem(key)), (.pem(certificate), .file(absent)),
          (.pem(Array("junk".utf8)), .pem(key)), (.pem(certificate), .pem(Array("junk".utf8))),
          (.pem(certificate), .pem(certificates.server.key)),
        ] {
          request = try trusting(.get, front.endpoint())
          request.tls.clientCertificate = certificate
          request.tls.clientKey = key
          let error = try #require(await failure(client, request))
          #expect(error.shortDescription == "tls", "\(error)")
          #expect(error.description.contains("check that client-certificate"), "\(error)")
        }
      }
    }

    @Test("a connection belongs to who opened it", arguments: [true, false])
    func identity(allowsHTTP2: Bool) async throws {
      try await withTLS { front, client in
        func ports(_ options: [TLSOptions]) async throws -> [Substring] {
          let before = try front.records.count
          for (index, tls) in options.enumerated() {
            var request = patient(.get, front.endpoint())
            request.allowsHTTP2 = allowsHTTP2
            request.tls = tls
            let result = await outcome(client, request)
            #expect(result.response?.status == 200, "\(result)")
            _ = try await eventually { try front.records.count > before + index ? true : nil }
          }
          return try front.records.dropFirst(before).map(\.port)
        }
        var anonymous = TLSOptions()
        anonymous.authorities = .pem(certificates.authority)
        var known = anonymous
        known.clientCertificate = .pem(certificates.client.certificate)
        known.clientKey = .pem(certificates.client.key)
        var otherwiseKnown = known
        otherwiseKnown.clientCertificate = .pem(certificates.expired.certificate)
        otherwiseKnown.clientKey = .pem(certificates.expired.key)
        var byFile = anonymous
        byFile.authorities = .file(try directory.write("authority.pem", certificates.authority))
        var careless = anonymous
        careless.verifiesHost = false
        var named = anonymous
        named.serverName = Certificates.serverName
        let all = [anonymous, known, otherwiseKnown, byFile, careless, named]
        let first = try await ports(all)
        #expect(Set(first).count == all.count)
        #expect(try await ports(all) == first)
      }
    }

    @Test("a file of authorities is read anew for each connection")
    func rereadsAuthorities() async throws {
      try await withTLS { front, client in
        var request = patient(.post, front.endpoint())
        request.tls.authorities = .file(try directory.write("authorities.pem", certificates.authority))
        #expect(await outcome(client, request).response?.status == 200)
        _ = try directory.write("authorities.pem", certificates.otherAuthority)
        #expect(await failure(client, request)?.shortDescription == "tls")
      }
    }
  }
}
