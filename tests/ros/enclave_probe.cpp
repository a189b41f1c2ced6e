// A DDS participant with the keys of an enclave, or with none, that publishes or receives one topic and says how it went.
//
//   enclave_probe FOLDER_OF_KEYS|- DOMAIN pub|sub TOPIC SECONDS
//
// FOLDER_OF_KEYS is an enclave in a keystore as `ros2 security` lays it out. A subscriber ends when it has received
// something. Prints one line of JSON. Fast DDS 2.x.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

#include <fastdds/dds/domain/DomainParticipant.hpp>
#include <fastdds/dds/domain/DomainParticipantFactory.hpp>
#include <fastdds/dds/domain/DomainParticipantListener.hpp>
#include <fastdds/dds/publisher/DataWriter.hpp>
#include <fastdds/dds/publisher/Publisher.hpp>
#include <fastdds/dds/subscriber/DataReader.hpp>
#include <fastdds/dds/subscriber/SampleInfo.hpp>
#include <fastdds/dds/subscriber/Subscriber.hpp>
#include <fastdds/dds/topic/TopicDataType.hpp>

using namespace eprosima::fastdds::dds;
using namespace eprosima::fastrtps::rtps;

class Number : public TopicDataType
{
public:
    Number()
    {
        setName("enclave_probe::Number");
        m_typeSize = 8;
        m_isGetKeyDefined = false;
    }
    bool serialize(void* data, SerializedPayload_t* payload) override
    {
        const unsigned char little_endian[4] = {0, 1, 0, 0};
        std::memcpy(payload->data, little_endian, 4);
        std::memcpy(payload->data + 4, data, 4);
        payload->length = 8;
        payload->encapsulation = CDR_LE;
        return true;
    }
    bool deserialize(SerializedPayload_t* payload, void* data) override
    {
        std::memcpy(data, payload->data + 4, 4);
        return true;
    }
    std::function<uint32_t()> getSerializedSizeProvider(void*) override { return [] { return 8u; }; }
    void* createData() override { return new uint32_t(0); }
    void deleteData(void* data) override { delete static_cast<uint32_t*>(data); }
    bool getKey(void*, InstanceHandle_t*, bool) override { return false; }
};

class Watch : public DomainParticipantListener
{
public:
    int discovered = 0, authorised = 0, refused = 0;
    void on_participant_discovery(DomainParticipant*, ParticipantDiscoveryInfo&& info) override
    {
        discovered += info.status == ParticipantDiscoveryInfo::DISCOVERED_PARTICIPANT;
    }
    void onParticipantAuthentication(DomainParticipant*, ParticipantAuthenticationInfo&& info) override
    {
        ++(info.status == ParticipantAuthenticationInfo::AUTHORIZED_PARTICIPANT ? authorised : refused);
    }
};

void add_keys(DomainParticipantQos& qos, const std::string& keys)
{
    const std::string authentication = "dds.sec.auth.builtin.PKI-DH.";
    const std::string access = "dds.sec.access.builtin.Access-Permissions.";
    auto& properties = qos.properties().properties();
    properties.emplace_back("dds.sec.auth.plugin", "builtin.PKI-DH");
    properties.emplace_back("dds.sec.access.plugin", "builtin.Access-Permissions");
    properties.emplace_back("dds.sec.crypto.plugin", "builtin.AES-GCM-GMAC");
    for (auto& entry : {std::make_pair(authentication + "identity_ca", "identity_ca.cert.pem"),
                        std::make_pair(authentication + "identity_certificate", "cert.pem"),
                        std::make_pair(authentication + "private_key", "key.pem"),
                        std::make_pair(access + "permissions_ca", "permissions_ca.cert.pem"),
                        std::make_pair(access + "governance", "governance.p7s"),
                        std::make_pair(access + "permissions", "permissions.p7s")})
    {
        properties.emplace_back(entry.first, "file://" + keys + "/" + entry.second);
    }
}

int say(const char* state, int matched, int received, const Watch& watch)
{
    std::printf("\n{\"state\": \"%s\", \"matched\": %d, \"received\": %d, \"discovered\": %d, \"authorised\": %d, "
                "\"refused\": %d}\n", state, matched, received, watch.discovered, watch.authorised, watch.refused);
    std::fflush(stdout);
    std::_Exit(0);
}

int main(int count, char** words)
{
    if (count != 6)
    {
        return 2;
    }
    const std::string keys = words[1], role = words[3], topic_name = words[4];
    DomainParticipantQos qos;
    if (keys != "-")
    {
        add_keys(qos, keys);
    }
    Watch watch;
    auto* factory = DomainParticipantFactory::get_instance();
    auto* participant = factory->create_participant(std::atoi(words[2]), qos, &watch, StatusMask::none());
    if (participant == nullptr)
    {
        return say("no participant", 0, 0, watch);
    }
    TypeSupport type(new Number());
    type.register_type(participant);
    auto* topic = participant->create_topic(topic_name, type.get_type_name(), TOPIC_QOS_DEFAULT);
    DataWriterQos writing;
    writing.reliability().kind = RELIABLE_RELIABILITY_QOS;
    DataReaderQos reading;
    reading.reliability().kind = RELIABLE_RELIABILITY_QOS;
    DataWriter* writer = nullptr;
    DataReader* reader = nullptr;
    if (role == "pub")
    {
        writer = participant->create_publisher(PUBLISHER_QOS_DEFAULT)->create_datawriter(topic, writing);
    }
    else
    {
        reader = participant->create_subscriber(SUBSCRIBER_QOS_DEFAULT)->create_datareader(topic, reading);
    }
    if (writer == nullptr && reader == nullptr)
    {
        return say("not permitted", 0, 0, watch);
    }
    int matched = 0, received = 0;
    uint32_t number = 0;
    for (int step = 0; step < 10 * std::atoi(words[5]) && received == 0; ++step)
    {
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        if (writer != nullptr)
        {
            PublicationMatchedStatus status;
            writer->get_publication_matched_status(status);
            matched = status.total_count;
            writer->write(&++number);
            continue;
        }
        SubscriptionMatchedStatus status;
        reader->get_subscription_matched_status(status);
        matched = status.total_count;
        SampleInfo info;
        while (reader->take_next_sample(&number, &info) == ReturnCode_t::RETCODE_OK)
        {
            received += info.valid_data;
        }
    }
    return say("ran", matched, received, watch);
}
