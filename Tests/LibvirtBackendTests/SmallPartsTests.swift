import DroverCore
import Testing

@testable import LibvirtBackend

@Suite struct CopiedDisksTests {
  @Test(
    "the disks that are copied are the largest sum of capacities that the total holds",
    arguments: [
      ([], 0, 0), ([512], 0, 0), ([512], 512, 512), ([512], 1741, 512),
      // A CD-ROM beside the disk, and one that is larger.
      ([512, 4], 512, 512), ([512, 4], 516, 516), ([512, 700], 512, 512), ([512, 700], 699, 512),
      ([512, 700], 700, 700), ([512, 700], 1211, 700), ([512, 700], 1212, 1212),
      ([10, 20, 40], 30, 30), ([10, 20, 40], 50, 50), ([10, 20, 40], 70, 70), ([10, 20, 40], 35, 30),
      ([10, 10, 10], 20, 20), ([0, 0], 5, 5), ([], 512, 512), ([512], 300, 300),
    ] as [([UInt64], UInt64, UInt64)])
  func table(capacities: [UInt64], total: UInt64, copied: UInt64) {
    #expect(copiedDisks(capacities: capacities.map { Bytes($0) }, total: Bytes(total)) == Bytes(copied))
  }

  @Test("many disks are taken together, in no time")
  func many() {
    let capacities = (0..<200).map { Bytes(1 << UInt64($0 % 50)) }
    let all = capacities.reduce(0, +)
    #expect(copiedDisks(capacities: capacities, total: Bytes(.max)) == all)
    #expect(copiedDisks(capacities: capacities, total: 1_000_003) == 1_000_003)
    let twelve = (0..<12).map { Bytes(1 << UInt64($0)) }
    #expect(copiedDisks(capacities: twelve, total: 1365) == 1365)
  }

  @Test("capacities that no disk has overflow nothing")
  func huge() {
    #expect(copiedDisks(capacities: [Bytes(.max), Bytes(.max), 1], total: Bytes(.max)) == Bytes(.max))
    #expect(copiedDisks(capacities: [Bytes](repeating: Bytes(.max), count: 13), total: 7) == 7)
  }
}

@Suite struct CopyableDisksTests {
  @Test("disks that the guest cannot write, or that hosts share, are never copied")
  func kinds() {
    let xml = """
      <domain type='kvm' id='1'>
        <name>g</name>
        <devices>
          <disk type='file' device='floppy'>
            <source file='/images/g.img'/>
            <target dev='fda' bus='fdc'/>
            <readonly/>
          </disk>
          <disk type='file' device='disk'>
            <source file='/images/g.disk' index='1'/>
            <mirror type='network' job='copy'>
              <source protocol='nbd' name='drive-virtio-disk0'/>
            </mirror>
            <target dev='vda' bus='virtio'/>
          </disk>
          <disk type='block' device='disk'>
            <target dev='vdb' bus='virtio'/>
            <shareable/>
          </disk>
          <disk type='file' device='cdrom'>
            <target dev='sda' bus='sata' tray='open'/>
            <readonly/>
          </disk>
          <disk type='file' device='disk'>
            <target dev='sdb' bus='sata'/>
          </disk>
          <interface type='network'>
            <target dev='vnet0'/>
          </interface>
        </devices>
      </domain>
      """
    #expect(copyableDisks(ofXML: xml) == ["vda", "sdb"])
    #expect(copyableDisks(ofXML: "").isEmpty)
    #expect(copyableDisks(ofXML: "<disk type='file'>\n<target dev='").isEmpty)
  }
}

@Suite struct LibvirtErrorTests {
  @Test(
    "an error has a kind of a closed list",
    arguments: [
      (1, 7, .lost), (38, 7, .lost), (39, 7, .lost), (1, 10, .call), (38, 0, .call), (45, 0, .denied),
      (79, 0, .denied), (94, 0, .denied), (88, 0, .denied), (29, 0, .denied), (68, 10, .timeout),
      (42, 10, .call), (55, 10, .call), (84, 10, .call), (3, 20, .call), (5, 0, .call), (-7, 0, .call),
    ] as [(Int32, Int32, LibvirtErrorKind)])
  func kinds(code: Int32, domain: Int32, kind: LibvirtErrorKind) {
    let error = LibvirtError(
      code: LibvirtError.Code(rawValue: code), domain: domain, call: "virDomainGetState", message: "no")
    #expect(error.kind == kind)
    #expect(error.isConnectionLost == (kind == .lost))
  }

  @Test("an error names the call, the cause and the remedy")
  func description() {
    #expect(
      LibvirtError.noConnection.description
        == "virConnectOpen: No such file or directory (libvirt error 38); check that libvirtd or virtqemud runs there, "
        + "and that Drover may reach its socket")
    #expect(LibvirtError.refused.description.contains("read-only socket"))
    #expect(LibvirtError.lockHeld.description.contains("its QEMU does not answer"))
    #expect(LibvirtError.gone.description.hasSuffix("(libvirt error 42)"))
  }

  @Test(
    "where libvirt finds nobody who takes the URI, the remedy is the URI, not the daemon",
    arguments: [5, 8, 67])
  func badURI(code: Int32) {
    func told(by call: String) -> String {
      LibvirtError(code: LibvirtError.Code(rawValue: code), call: call, message: "no").description
    }
    #expect(told(by: "virConnectOpen").contains("; check the URI"))
    #expect(!told(by: "virConnectOpen").contains("libvirtd"))
    #expect(code == 5 || !told(by: "virDomainGetState").contains("URI"))
  }
}

@Suite struct HostHealthTests {
  @Test("an outage is worth one line, and so is its end")
  func lines() {
    var health = HostHealth(backend: lab)
    let lines = [
      health.opened(version: "9.0.0"), health.answered(at: ms(0), took: .zero),
      health.failed(.lost, what: "lost"),
      health.failed(.connect, what: "connect"), health.failed(.connect, what: "connect"),
      health.opened(version: "9.0.0"),
      health.answered(at: ms(9000), took: .zero), health.failed(.timeout, what: "timeout"),
      health.answered(at: ms(12_000), took: .zero),
    ]
    #expect(lines == [true, false, true, false, false, true, false, true, true])
  }

  @Test("what concerns something on the host alone is said once and does not take the host down")
  func parts() {
    var health = HostHealth(backend: lab)
    _ = health.answered(at: ms(0), took: .zero)
    let lines = ["a", "a", "b"].map { health.failed(.call, isHost: false, what: $0) }
    #expect(lines == [true, false, true])
    #expect(health.isUp)
  }

  @Test("each error is told by itself, and nothing before the first attempt has ended")
  func telling() {
    var health = HostHealth(backend: lab)
    health.count(.sockets)
    let early = health.due(at: ms(0))
    #expect(early == nil)
    _ = health.failed(.connect, what: "connect")
    let told = (0..<3).map { _ in health.due(at: ms(1))?.errorKind }
    #expect(told == ["sockets", "connect", nil])
  }

  @Test("why a host is down is told until it answers again")
  func problem() {
    var health = HostHealth(backend: lab)
    _ = health.failed(.connect, what: "virConnectOpen: refused")
    #expect(health.due(at: ms(0))?.problem == "virConnectOpen: refused")
    _ = health.answered(at: ms(1), took: .zero)
    _ = health.failed(.call, isHost: false, what: "dirty rates cannot be measured")
    let told = health.due(at: ms(1))
    #expect(told?.isUp == true)
    #expect(told?.problem == nil)
  }

  @Test("a host that does well is told again every two seconds")
  func interval() {
    var health = HostHealth(backend: lab)
    let told = stride(from: Int64(0), through: 8000, by: 500).filter { at in
      _ = health.answered(at: ms(at), took: .milliseconds(1))
      return health.due(at: ms(at)) != nil
    }
    #expect(told == [0, 2000, 4000, 6000, 8000])
  }
}

@Suite struct ConfigurationTests {
  @Test(
    "a URI names a host, or this machine",
    arguments: [
      ("qemu:///system", nil), ("qemu+tcp://b/system", "b"), ("qemu+ssh://root@b:22/system", "b"),
      ("qemu+tls://[2001:db8::1]:16514/system", "2001:db8::1"), ("test:///default", nil), ("qemu", nil),
      ("qemu+unix:///system?socket=/run/libvirt/libvirt-sock", nil), ("", nil), ("://", nil), ("a://[", nil),
    ] as [(String, String?)])
  func host(uri: String, host: String?) { #expect(LibvirtConfiguration.host(ofURI: uri) == host) }

  @Test(
    "a URI has a scheme and no blanks",
    arguments: [
      ("qemu:///system", true), ("qemu+ssh://b/system", true), ("", false), ("qemu", false), ("://b", false),
      ("qemu:///sys tem", false), ("qemu:///\n", false), ("qemu /:///x", false), ("q\u{e9}mu:///x", false),
    ])
  func isURI(text: String, isURI: Bool) { #expect(LibvirtConfiguration.isURI(text) == isURI) }
}
