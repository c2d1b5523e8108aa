-- One account a lead. What the sales team wrote down at the close is joined to the leads that were won.
SELECT
  leads.mql_id AS account_id,
  leads.first_contact_date AS created_at,
  leads.origin AS lead_source,
  leads.landing_page_id,
  deals.business_segment,
  deals.lead_type,
  deals.business_type
FROM olist_marketing_qualified_leads_dataset AS leads
LEFT JOIN olist_closed_deals_dataset AS deals USING (mql_id)
